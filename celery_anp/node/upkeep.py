"""Upkeep: promote what is due, take back what died, ring again, tell who is late.

In each worker and beat, safe in any number, all of it also when every beat is dead.

Limit: it acts on what Redis holds. What Redis forgot in a failover it cannot bring back.
"""

from __future__ import annotations

import threading
from typing import Any

from celery.utils.log import get_logger

from celery_anp.errors import AnpError
from celery_anp.node.deaths import Deaths
from celery_anp.node.link_sender import LinkSender
from celery_anp.node.outbox import Outbox
from celery_anp.node.room import Room
from celery_anp.sending import publisher

log = get_logger(__name__)

#: Seconds between two rounds.
INTERVAL = 1.0
#: Every so many rounds: rows are pruned, and Redis' memory is looked at; in each round while there is little room.
PRUNE_EVERY = 60
MEMORY_EVERY = 5
#: The same for queues that nobody serves.
QUEUES_EVERY = 5


class Upkeep:
    """A thread that goes round each second until `stop`.

    Args:
        app: the guarded app.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.ledger = app.ledger.separate()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="anp-upkeep", daemon=True)
        self._round = 0
        self.outbox = Outbox(app)
        self.link_sender = LinkSender(app)
        self.room = Room(self.ledger)
        self.deaths = Deaths(self.ledger)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()
        self.outbox.start()
        self.link_sender.start()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopped.set()
        self.outbox.stop()
        self.link_sender.stop()
        self._thread.join(timeout=10)

    def _loop(self) -> None:
        while not self._stopped.wait(INTERVAL):
            try:
                self.go_round()
            except AnpError as error:
                log.warning("upkeep waits for the ledger: %s", error)
            except Exception:
                log.exception("upkeep met something unexpected and goes on")

    def go_round(self) -> None:
        """One round of everything.

        Raises:
            LedgerUnavailable: Redis did not answer.
        """
        found = self.ledger.go_round(self.deaths.system.host)
        publisher.send(self.app, found.handed)
        for run_id in found.linked:
            self.link_sender.hand(run_id)
        self.outbox.wake(found.lanes)
        self.deaths.look_at(found.neighbours)
        if self._round % PRUNE_EVERY == 0:
            self.ledger.prune()
        if self.room.tight or self._round % MEMORY_EVERY == 0:
            self.room.look()
        if self._round % QUEUES_EVERY == 0:
            self.ledger.look_for_unserved()
        self._round += 1
