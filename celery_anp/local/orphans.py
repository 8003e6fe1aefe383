"""Leaves no process behind: what our children started and lost comes to us, and is ended with us.

On Linux only; elsewhere a grandchild whose parent was killed is on its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable

import psutil

PR_SET_CHILD_SUBREAPER = 36
#: Seconds between asking and killing.
GRACE = 2.0


def adopt() -> None:
    """From now on, descendants whose parent dies become children of this process."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(ours: Iterable[int | None]) -> None:
    """Take note of the end of what came to us, so that it leaves the process table.

    Args:
        ours: process ids that somebody else here waits for.
    """
    awaited = set(ours)
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.pid not in awaited and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)


def end() -> None:
    """End every descendant of this process, hard after a short grace."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, still_there = psutil.wait_procs(left, timeout=GRACE if left else 0)
    for process in still_there:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(still_there, timeout=GRACE if still_there else 0)
