"""The kernel's process table: whether a process is there, since when, and whether it is dead.

A process is told from a later one with its number by when it started, in ticks since boot: that is read as it stands in
`/proc/<pid>/stat` and never put together with a clock that somebody may set. On Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
#: Ticks of a second, of the times in the table.
TICKS = os.sysconf("SC_CLK_TCK")
#: The field of `/proc/<pid>/stat`, counted from behind the name, and what proc(5) calls it.
_STATE, _THREADS, _START = 0, 17, 19


class Entry(NamedTuple):
    """What the table says of a process."""

    #: Ticks since boot.
    start: int
    #: It has ended and waits to be taken note of. A process whose first thread alone has ended runs on.
    dead: bool


def look(pid: int, proc: Path = PROC) -> Entry | None:
    """The entry of a process.

    Args:
        pid: its number.
        proc: where the table is mounted.

    Returns:
        Its entry; None where there is no such process.

    Raises:
        OSError: the table does not tell.
    """
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if pid > 0 and (proc / "self").exists() and _answers(pid, os.kill):
            raise PermissionError(f"{proc} hides process {pid}") from None
        return None
    fields = text[text.rindex(")") + 1 :].split()  # the name before it may hold anything
    dead = fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1
    return Entry(int(fields[_START]), dead)


def group_runs(leader: int, start: int, proc: Path = PROC) -> bool:
    """Whether a process still runs, or one of the group that it led; a zombie that nobody has taken note of counts.

    The kernel gives a number to nobody while a process or a group has it: another process with the leader's number
    means that its group is gone too.

    Args:
        leader: its number.
        start: when it started.
        proc: where the table is mounted.

    Raises:
        OSError: the table does not tell.
    """
    entry = look(leader, proc)
    if entry is not None:
        return entry.start == start
    return _answers(leader, os.killpg)  # the group at once: reading entry after entry could miss one that forks


def _answers(number: int, kill: Callable[[int, int], None]) -> bool:
    """Whether a signal would find somebody, ours or not."""
    try:
        kill(number, 0)
    except OSError as refused:
        return not isinstance(refused, ProcessLookupError)
    return True
