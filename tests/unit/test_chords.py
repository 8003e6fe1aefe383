"""What Celery asks of its Redis backend around a chord's body, answered without a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery
import pytest
from celery.app.task import Context
from celery.backends.redis import RedisBackend

from celery_anp.canvas.chords import COUNTING, COUNTS_ONCE, ChordWaits, Counting
from celery_anp.canvas.results import with_ledger
from celery_anp.errors import LedgerFull, LedgerUnavailable
from worker.app import app


@contextmanager
def counted_anew() -> Iterator[None]:
    """A part is counted while an error is being handled, as Celery's tracer does."""
    counting = COUNTING.set(Counting("group"))
    try:
        yield
    finally:
        COUNTING.reset(counting)


@pytest.mark.skipif(
    (celery.VERSION.major, celery.VERSION.minor) < (5, 7),
    reason="before Celery 5.7 nothing asks: the parts are kept aside",
)
@pytest.mark.parametrize("passing", [ChordWaits(KeyError()), LedgerFull("as asked"), LedgerUnavailable("as asked")])
def test_a_chord_that_waits_is_not_cleaned_up(passing: BaseException) -> None:
    assert COUNTS_ONCE
    backend: Any = with_ledger(RedisBackend)(app=app, url="redis://127.0.0.1:1/0")
    cleaned: list[dict[str, Any]] = []
    backend.__dict__["_chord_cleanup_script"] = lambda **call: cleaned.append(call)
    counting = COUNTING.set(Counting("group"))
    try:
        raise passing
    except BaseException:
        backend._chord_cleanup_script(keys=[], args=[], client=None)
        assert not cleaned
        with counted_anew():
            backend._chord_cleanup_script(keys=[], args=[], client=None)
        assert cleaned.pop(), "the error was there before the part was counted"
    finally:
        COUNTING.reset(counting)
    backend._chord_cleanup_script(keys=[], args=[], client=None)
    assert cleaned, "after a body that was sent it is"


def test_a_part_whose_request_names_no_task_is_counted_as_celery_does() -> None:
    backend: Any = with_ledger(RedisBackend)(app=app, url="redis://127.0.0.1:1/0")
    assert backend.on_chord_part_return(Context(), "SUCCESS", 1) is None
