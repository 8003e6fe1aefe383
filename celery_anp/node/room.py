"""Keeps room in Redis: near its memory limit the oldest finished rows go before their time, so that planning goes on.

Dropping begins below the limit at which planning is refused, which is for what rows cannot help: what waits, and what
others put into this Redis. Limit: it drops what has ended; a backlog that fills the memory is an operator's to cancel.
"""

from __future__ import annotations

import time

from celery.utils.log import get_logger

from celery_anp.reliability.keyspace import FULL_AT
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Memory

log = get_logger(__name__)

#: Parts of Redis' memory limit: above the first rows are dropped, down to the second.
DROP_AT, DROP_TO = 0.75, 0.7
#: Rows of the first batch, which doubles as long as they do not suffice, and of the largest; seconds for all of them.
FIRST, LARGEST = 16, 512
PATIENCE = 1.0


class Room:
    """Looks at the memory, and drops what may go.

    Args:
        ledger: on a connection of the caller's thread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        #: Whether it has to look again soon.
        self.tight = False
        # Rows at the old end of the ledger that had to stay when it looked last.
        self._over = 0

    def look(self) -> None:
        """Once: drop rows if there is little room, and refuse planning while there is none.

        Raises:
            LedgerUnavailable: Redis did not answer.
        """
        memory, dropped = self.ledger.memory(), 0
        self.tight = memory.share > (DROP_TO if self.tight else DROP_AT)
        if self.tight:
            dropped, memory = self._drop(memory)
        full = memory.share > FULL_AT
        if dropped:
            log.warning("Redis uses %s: %d finished runs were dropped to make room", memory.said(), dropped)
        if full:
            log.error("Redis uses %s: nothing new is planned", memory.said())
        if full or dropped or memory.full:
            self.ledger.set_full(full, used=memory.used, limit=memory.limit, dropped=dropped)

    def _drop(self, memory: Memory) -> tuple[int, Memory]:
        """Drop rows, a batch at a time, until there is room or the time is over; how many, and the memory then."""
        end, size, dropped = time.monotonic() + PATIENCE, FIRST, 0
        while memory.share > DROP_TO and time.monotonic() < end:
            forgot, looked, stayed = self.ledger.make_room(self._over, size)
            dropped += forgot
            self._over += stayed
            if not forgot and not looked:  # it has come to the newest row: from the oldest again, with the next look
                self._over = 0
                break
            size = min(size * 2, LARGEST)
            memory = self.ledger.memory()
        return dropped, memory
