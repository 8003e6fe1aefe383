"""A child process that cannot outlive its parent (on Linux; elsewhere it only gets its own session).

The kernel is asked to kill the child when the *thread* that started it ends: so `start` belongs in the main
thread. The request survives an exec. It is made by this file, run as a script, because code between fork and
exec in a threaded parent may deadlock (`subprocess` says so of `preexec_fn`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1


def start(
    argv: Sequence[str],
    *,
    output: IO[bytes] | int = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, killed by the kernel when this process dies.

    Args:
        argv: the program, by its path, and its arguments.
        output: where its stdout and stderr go.
        env: its whole environment; None keeps ours.
        cwd: the folder it starts in.
        pass_fds: file descriptors that it inherits.

    Returns:
        The child; its pid is also its process group.

    Raises:
        OSError: this Python could not be started again. A missing program is exit code 127 instead.
    """
    return subprocess.Popen(  # noqa: S603  argv without a shell
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], grace: float) -> bool:
    """End a child and whatever it left in its process group.

    Args:
        process: a child that `start` made.
        grace: seconds between SIGTERM to the child and SIGKILL to its group.

    Returns:
        Whether it ended within the grace.
    """
    if process.returncode is not None:
        return True
    os.kill(process.pid, signal.SIGTERM)  # Popen's own would reap it, and its group could not be killed any more
    in_time = _ended(process.pid, grace)
    kill(process)
    process.wait()
    return in_time


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child's process group at once, without waiting; may be called by a signal handler."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # It may be dead but is not reaped, so its number is still its own and cannot hit a stranger.
            os.killpg(process.pid, signal.SIGKILL)


def _ended(pid: int, grace: float) -> bool:
    deadline = time.monotonic() + grace
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _become(parent: int, argv: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            os._exit(1)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  the caller's argv, no shell
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
