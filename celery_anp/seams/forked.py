"""New locks for a pool's child in place of those that a thread of the main process held when it was forked.

The main process forks while our threads (upkeep, links, outbox, lease) use Celery. kombu takes a lock whenever one of
its cached properties is read, also where the value is there, and Celery one whenever it sends a signal; a child that is
forked in that instant waits for ever when it does the same. Seen: one that had settled its run hung where it would send
the next link, and went on saying that it was at it, so that nobody else sent it either. Before Python 3.12 Python's own
cached properties have such a lock too. Seen: a thread checked the input of a link, for the first time of that task, and
a child that was forked meanwhile hung before its body.

Limit: it knows these. A task module that starts threads in the main process has its own locks to think of.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from threading import Lock, RLock
from typing import Any

from celery.utils.dispatch import Signal
from kombu.utils.objects import cached_property

#: Whose `lock` is used from our threads, and what makes one.
HELD: tuple[tuple[type, Callable[[], Any]], ...] = ((cached_property, RLock), (Signal, Lock))
if sys.version_info < (3, 12):
    HELD = (*HELD, (functools.cached_property, RLock))


class LockOfThisProcess:
    """In the place of an object's `lock`: each process has its own.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._name = "lock"

    def renew(self) -> None:
        """This process was forked just now: it has no thread but this one."""
        self._name = f"lock of {os.getpid()}"

    def __get__(self, thing: Any, owner: type | None = None) -> Any:
        if thing is None:
            return self
        locks = thing.__dict__
        return locks.get(self._name) or locks.setdefault(self._name, self._make())

    def __set__(self, thing: Any, lock: Any) -> None:
        thing.__dict__[self._name] = lock


def install() -> None:
    """Children that are forked from now on find none of these locks taken."""
    for owner, make in HELD:
        if not isinstance(owner.__dict__.get("lock"), LockOfThisProcess):
            lock = LockOfThisProcess(make)
            os.register_at_fork(after_in_child=lock.renew)
            owner.lock = lock  # type: ignore[attr-defined]
