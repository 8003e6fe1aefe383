"""Sends what follows the runs whose next links nobody confirmed.

In each worker and beat, in threads of its own: Celery calls some errbacks in the thread that tells them of a failure,
and one that takes its time must hold up neither upkeep nor the links of other runs.

Limit: an errback that never ends keeps a thread, in each process that meets it; with `MOST` of them the links wait.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import Any

from celery.utils.log import get_logger

from celery_anp.canvas import claims, links
from celery_anp.errors import LedgerUnavailable

log = get_logger(__name__)

#: Threads side by side; for each that is held up for so many seconds there is another, up to the most.
THREADS, HELD_UP, MOST = 4, 5.0, 16
#: Seconds that what is under way may take when the process ends; another node sends it again.
PATIENCE = 2.0


class LinkSender:
    """Threads that send what they are handed, until `stop`.

    Args:
        app: the guarded app.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.ledger = app.ledger.separate()
        self._handed: SimpleQueue[str | None] = SimpleQueue()
        self._held: set[str] = set()
        self._since: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin in the background."""
        while len(self._threads) < THREADS:
            self._start_one()

    def stop(self) -> None:
        """End after what is under way, if that does not take long."""
        while not self._handed.empty():
            self._handed.get()
        for _ in self._threads:
            self._handed.put(None)
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def hand(self, run_id: str) -> None:
        """The next links of a run are due; nothing is done about one that is in hand already."""
        self._make_room()
        if run_id not in self._held:
            self._held.add(run_id)
            self._handed.put(run_id)

    def _make_room(self) -> None:
        late = [held for held, since in list(self._since.items()) if time.monotonic() - since > HELD_UP]
        if len(self._threads) < min(THREADS + len(late), MOST):
            log.warning("sending the links of %s takes its time, the others go on beside them", ", ".join(late))
            self._start_one()

    def _start_one(self) -> None:
        name = f"anp-link-sender-{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._loop, name=name, daemon=True))
        self._threads[-1].start()

    def _loop(self) -> None:
        while (run_id := self._handed.get()) is not None:
            self._since[run_id] = time.monotonic()
            try:
                with claims.held(self.app, run_id):
                    links.send(self.app, self.ledger, run_id)
            except LedgerUnavailable as error:
                log.warning("the next links of %s wait for the ledger: %s", run_id, error)
            except Exception:
                log.exception("the next links of %s are not all sent and are tried again", run_id)
            finally:
                self._since.pop(run_id, None)
                self._held.discard(run_id)
