"""The pool's children: who they are, whether the kernel still has them, and what each says it is doing.

Each child has a place in memory that it shares with the main process: its pid and the fence of the body it runs. So
the main process can find a body whose row is gone, without asking the child.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from contextlib import suppress

import psutil
from billiard import common, current_process

from celery_anp.process import table

#: Places in the shared table; a worker with more children has the rest unwatched.
PLACES = 512
_PLACE = struct.Struct("=QQ")
_table = mmap.mmap(-1, PLACES * _PLACE.size)
_named: dict[int, str] = {}


def child() -> str:
    """This process as its node finds it again: `<pid>.<start time>`."""
    pid = os.getpid()
    if pid not in _named:
        _named.clear()
        entry = table.look(pid)
        _named[pid] = f"{pid}.{entry.start}" if entry else _elsewhere(psutil.Process(pid))
    return _named[pid]


def _elsewhere(process: psutil.Process) -> str:
    """A process by pid and start time where there is no process table to read: on another system than Linux."""
    return f"{process.pid}.{int(process.create_time() * 100)}"


def pid_of(name: str) -> int:
    """The pid in a child's name; 0 where there is none."""
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else 0


def is_alive(name: str) -> bool:
    """Whether the process that `child` named still runs; a zombie is dead."""
    if entry := table.look(pid_of(name)):
        return name == f"{pid_of(name)}.{entry.start}" and not entry.dead
    with suppress(psutil.Error):
        process = psutil.Process(pid_of(name))
        return name == _elsewhere(process) and process.status() != psutil.STATUS_ZOMBIE
    return False


def says(fence: int) -> None:
    """This child says which body it runs: its fence, or 0 for none."""
    place = getattr(current_process(), "index", None)
    if place is not None and place < PLACES:
        _PLACE.pack_into(_table, place * _PLACE.size, os.getpid(), fence)


def bodies() -> dict[int, int]:
    """What the children said: pid to the fence of the body it runs."""
    return {pid: fence for pid, fence in _PLACE.iter_unpack(_table[: PLACES * _PLACE.size]) if fence}


def is_ending(error: BaseException) -> bool:
    """Whether an exception ends this process because a signal asks for it: its body has not ended, it is lost."""
    return isinstance(error, SystemExit) and bool(common._should_have_exited[0])


def kill(pid: int) -> None:
    """Kill a child and what it started; a child leads its own process group."""
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
