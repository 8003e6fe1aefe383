"""The worker that is up but stalled: work waits in its queues, a child of it is idle, and no message comes.

A half-open broker connection or a consumer that lost its place looks like health from outside. After a while such a
worker ends, so that its supervisor starts a new one. The runs of its busy children go back without a loss.

Limit: it sees queues on Redis only, and takes a queue with paused consumers for its own only while it consumes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state

from celery_anp.errors import LedgerUnavailable
from celery_anp.reliability.ledger import Ledger
from celery_anp.sending.message import STEPS, list_key

log = get_logger(__name__)

#: Seconds that work may wait beside an idle child.
PATIENCE = 30.0
#: Seconds between two looks.
INTERVAL = 2.0
#: Exit code for the supervisor: try again (EX_TEMPFAIL).
EXIT = 75


class Watchdog:
    """A thread that ends this worker when it has stalled.

    Args:
        worker: Celery's worker.
        ledger: on a connection of its own.
        end: says goodbye and ends the process.
    """

    def __init__(self, worker: Any, ledger: Ledger, end: Callable[[], None]) -> None:
        self.worker = worker
        self.ledger = ledger
        self._end = end
        self._stop = threading.Event()
        self._waited = 0.0
        self._heard = 0
        self._thread = threading.Thread(target=self._loop, name="anp-watchdog", daemon=True)

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
            except Exception:
                self._waited = 0.0
                log.exception(
                    "the watchdog met something unexpected, as in a consumer that connects again, and goes on"
                )
            if self._waited >= PATIENCE:
                log.critical(
                    "work has waited for %g s beside an idle child: this worker has stalled and ends", self._waited
                )
                self._end()
                return

    def _is_silent(self) -> bool:
        consumer = self.worker.consumer
        if consumer is None or consumer.task_consumer is None:
            return False
        heard, self._heard = self._heard, consumer.heard
        if heard != self._heard or not self._has_room(consumer):
            return False
        return any(self.ledger.store.read("llen", key) for key in self._lists(consumer))

    def _has_room(self, consumer: Any) -> bool:
        """Whether it could take a message: a child is idle, and fewer wait here, e.g. for a rate limit, than may."""
        idle = len(state.active_requests) < self.worker.pool.num_processes
        return idle and consumer.task_consumer.channel.qos.can_consume()

    def _lists(self, consumer: Any) -> list[str]:
        names = [queue.name for queue in consumer.task_consumer.queues]
        return [list_key(name, priority) for name in names for priority in STEPS]


def leave() -> None:
    """End at once: a stalled event loop may not come to an orderly shutdown any more."""
    os._exit(EXIT)
