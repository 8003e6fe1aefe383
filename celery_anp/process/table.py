"""The kernel's process table: whether a process is there, since when, and whether it is dead.

A process is told from a later one with its number by when it started, in ticks since boot: that is read as it stands in
`/proc/<pid>/stat` and never put together with a clock that somebody may set. On Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
#: Ticks of a second, of the times in the table.
TICKS = os.sysconf("SC_CLK_TCK")
#: The field of `/proc/<pid>/stat`, counted from behind the name, and what proc(5) calls it.
_STATE, _GROUP, _THREADS, _START = 0, 2, 17, 19


class Entry(NamedTuple):
    """What the table says of a process."""

    #: Ticks since boot.
    start: int
    #: Its process group.
    group: int
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
    return Entry(int(fields[_START]), int(fields[_GROUP]), dead)


def group_runs(leader: int, start: int, proc: Path = PROC) -> bool:
    """Whether a process still runs, or one of the group that it led.

    The kernel gives a number to nobody while a process or a group has it: another process with the leader's number
    means that its group is gone too. A group of zombies is gone, as the first process of many a container takes note of
    none; they are told from the others by reading the whole table, twice, for one that forks and ends meanwhile.

    Args:
        leader: its number.
        start: when it started.
        proc: where the table is mounted.

    Raises:
        OSError: the table does not tell.
    """
    entry = look(leader, proc)
    if entry is not None and (entry.start != start or not entry.dead):
        return entry.start == start
    if not _answers(leader, os.killpg):
        return False
    look(1, proc)  # refused where the table hides processes of others
    return any(one.group == leader and not one.dead for _ in range(2) for one in _entries(proc))


def _entries(proc: Path) -> Iterator[Entry]:
    for path in proc.iterdir():
        if path.name.isdigit() and (entry := look(int(path.name), proc)):
            yield entry


def _answers(number: int, kill: Callable[[int, int], None]) -> bool:
    """Whether a signal would find somebody, ours or not."""
    try:
        kill(number, 0)
    except OSError as refused:
        return not isinstance(refused, ProcessLookupError)
    return True
