"""Says of links that are being sent that somebody is at it, so that nobody else sends them too.

Upkeep sends what nobody has confirmed some seconds after a run's end. Who takes longer, because an errback takes its
time or the broker is slow, says so each second. A thread that a process starts with its first links; it dies with it.

Limit: while Redis is away nobody can say anything, and a process that was stopped wakes up to links sent by another.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.utils.log import get_logger

from celery_anp.errors import LedgerUnavailable

log = get_logger(__name__)

#: Seconds between two looks; who was there at the last one too is told of. Well within a grace of the ledger.
LOOK = 1.0

_sending: dict[int, str] = {}
_teller: dict[str, threading.Thread] = {}
#: A fork has no threads but its own.
os.register_at_fork(after_in_child=_sending.clear)
os.register_at_fork(after_in_child=_teller.clear)


def begin(app: Any, run_id: str) -> None:
    """This thread sends the links of a run from now on."""
    if not _teller:
        made = threading.Thread(target=_loop, args=(app.ledger.separate(),), name="anp-claims", daemon=True)
        if _teller.setdefault("one", made) is made:  # of several threads that begin at once one starts it
            made.start()
    _sending[threading.get_ident()] = run_id


def end() -> None:
    """This thread sends no links any more."""
    _sending.pop(threading.get_ident(), None)


@contextmanager
def held(app: Any, run_id: str) -> Iterator[None]:
    """`begin` and `end`."""
    begin(app, run_id)
    try:
        yield
    finally:
        end()


def _loop(ledger: Any) -> None:
    before: set[str] = set()
    while True:
        time.sleep(LOOK)
        now = set(_sending.copy().values())
        for run_id in now & before:
            try:
                ledger.links_held(run_id)
            except LedgerUnavailable as error:
                log.warning("the links of %s are being sent, which the ledger could not be told: %s", run_id, error)
        before = now
