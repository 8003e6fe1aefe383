"""What a child says is heard to its end, also where the worker connects again in the middle of it.

A child says a message of more than 16 KiB (a failure with its traceback can be one) as its length and then the rest,
and of more than a pipe holds in parts. Celery's reader waits for the rest in its event loop, and forgets what it has
read when a lost connection makes the loop begin again: the rest is then taken for a new message. Its length makes no
sense, nobody reads that child any more, and it gets no further task; or the worker ends with an UnpicklingError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any

from celery.concurrency.asynpool import AsynPool, ResultHandler

Reading = Generator[None, None, None]


class PatientResults(ResultHandler):
    """Goes on with a message that is half read; of each child at most one is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: By the file number of a child's pipe: the child, and its message that is being read.
        self._begun: dict[int, tuple[Any, Reading]] = {}

    def _recv_message(self, add_reader: Callable[..., None], fd: int, callback: Any, **known: Any) -> Reading:
        """The reading of a child's message, asked for where there is something to read."""
        child = self.fileno_to_outq[fd]
        message = self._half_read(fd, child)
        if message is None:
            message = super()._recv_message(add_reader, fd, callback, **known)
            self._begun[fd] = child, message
        return message

    def _finish_partial_read(self, fd: int, proc: Any) -> Any:
        """The worker ends: Celery reads to its end what the event loop has begun."""
        message = self._half_read(fd, proc)
        if message is not None and self._hub is not None:
            self._hub.add_reader(fd, message)
        return super()._finish_partial_read(fd, proc)

    def _half_read(self, fd: int, child: Any) -> Reading | None:
        owner, message = self._begun.get(fd, (None, None))
        if message is None or owner is not child or inspect.getgeneratorstate(message) == inspect.GEN_CLOSED:
            return None
        return message


def install() -> None:
    """Every pool of processes made from now on hears so."""
    AsynPool.ResultHandler = PatientResults
