"""The worker that is up but deaf: work waits in its queues, its children are idle, and nothing comes.

A half-open broker connection or a consumer that lost its place looks like health from outside. After a while such a
worker ends, so that its supervisor starts a new one; it holds no run then, so nothing is lost.

Limit: it sees queues on Redis only, and takes a queue with paused consumers for its own only while it consumes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state

from worker import publisher
from worker.errors import LedgerUnavailable
from worker.reliability.ledger import Ledger

log = get_logger(__name__)

#: Seconds that work may wait beside idle children.
PATIENCE = 30.0
#: Seconds between two looks.
INTERVAL = 2.0
#: Exit code for the supervisor: try again (EX_TEMPFAIL).
EXIT = 75


class Ear:
    """A thread that ends this worker when it has gone deaf.

    Args:
        worker: Celery's worker.
        ledger: on a connection of its own.
        end: ends the process; `goodbye` was said before.
    """

    def __init__(self, worker: Any, ledger: Ledger, end: Callable[[], None]) -> None:
        self.worker = worker
        self.ledger = ledger
        self._end = end
        self._stop = threading.Event()
        self._waited = 0.0
        self._thread = threading.Thread(target=self._loop, name="anp-ear", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """The worker is shutting down: it may be silent now."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self._waited = self._waited + INTERVAL if self._is_silent() else 0.0
            except LedgerUnavailable:
                self._waited = 0.0  # Redis is away: that is not the consumer's fault
            if self._waited >= PATIENCE:
                log.critical(
                    "work has waited for %g s beside idle children: this worker is deaf and ends", self._waited
                )
                self._end()
                return

    def _is_silent(self) -> bool:
        if state.active_requests or state.reserved_requests or self.worker.consumer is None:
            return False
        return any(self.ledger.store.read("llen", key) for key in self._lists())

    def _lists(self) -> list[str]:
        consumer = getattr(self.worker.consumer, "task_consumer", None)
        names = [queue.name for queue in consumer.queues] if consumer else []
        return [publisher.list_key(name, priority) for name in names for priority in (0, 3, 6, 9)]


def leave() -> None:
    """End at once: a deaf event loop may not come to an orderly shutdown any more."""
    os._exit(EXIT)
