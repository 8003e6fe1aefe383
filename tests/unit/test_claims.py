"""Threads that begin to send links at the same moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident
from types import SimpleNamespace
from typing import Any

import pytest

from celery_anp.canvas import claims

THREADS = 8


class SlowLedger:
    """Its connection takes its time: every thread sees that nobody tells yet."""

    def separate(self) -> Any:
        time.sleep(0.05)
        return SimpleNamespace(links_held=lambda run_id: run_id)


def test_links_that_several_threads_begin_to_send_at_once_are_held_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that failed here stayed in the list of those that are sent: nobody else sent its links."""
    monkeypatch.setattr(claims, "_teller", {})
    monkeypatch.setattr(claims, "_sending", {})
    app, together = SimpleNamespace(ledger=SlowLedger()), Barrier(THREADS)

    def send(number: int) -> str:
        together.wait(timeout=5)
        with claims.held(app, f"run {number}"):
            return claims._sending[get_ident()]

    with ThreadPoolExecutor(THREADS) as several:
        assert len(list(several.map(send, range(THREADS)))) == THREADS
    assert claims._sending == {}
    assert [thread.name for thread in claims._teller.values()] == ["anp-claims"]
