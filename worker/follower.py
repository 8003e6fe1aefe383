"""Sends what follows the runs whose next links nobody confirmed.

In each worker and beat, in threads of its own: Celery calls some errbacks in the thread that tells them of a failure,
and one that takes its time must hold up no upkeep.

Limit: an errback that never ends keeps one of these threads, in each process that meets it.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

from celery.utils.log import get_logger

from worker import links
from worker.errors import LedgerUnavailable
from worker.node import separate

log = get_logger(__name__)

#: Threads side by side.
THREADS = 4
#: Seconds that what is under way may take when the process ends; another node sends it again.
PATIENCE = 2.0


class Follower:
    """Threads that send what they are handed, until `stop`.

    Args:
        app: the guarded app.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.ledger = separate(app)
        self._handed: SimpleQueue[str | None] = SimpleQueue()
        self._held: set[str] = set()
        self._threads = [
            threading.Thread(target=self._loop, name=f"anp-follower-{number}", daemon=True) for number in range(THREADS)
        ]

    def start(self) -> None:
        """Begin in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after what is under way, if that does not take long."""
        while not self._handed.empty():
            self._handed.get()
        for _ in self._threads:
            self._handed.put(None)
        for thread in self._threads:
            thread.join(timeout=PATIENCE / THREADS)

    def hand(self, run_id: str) -> None:
        """The next links of a run are due; nothing is done about one that is in hand already."""
        if run_id not in self._held:
            self._held.add(run_id)
            self._handed.put(run_id)

    def _loop(self) -> None:
        while (run_id := self._handed.get()) is not None:
            try:
                links.send(self.app, self.ledger, run_id)
            except LedgerUnavailable as error:
                log.warning("the next links of %s wait for the ledger: %s", run_id, error)
            except Exception:
                log.exception("the next links of %s are not all sent and are tried again", run_id)
            finally:
                self._held.discard(run_id)
