"""How quickly runs are enqueued: `.delay` of a guarded task, of a plain one, and of the peers'."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench.place import Place
from tests.bench.rounds import in_turns, middle, rate, spread
from tests.bench.table import Line

ANP, PLAIN = "anp", "plain Celery"


def lines(place: Place) -> list[Line]:
    """Calls a second, results on; every call has an input of its own, so that no peer's lock refuses it."""
    from tests.bench import noop, peers, plain

    tasks = {ANP: noop.noop, PLAIN: plain.noop, **peers.tasks()}
    count = place.either(300, 1000)
    sides: dict[str, Callable[[], float]] = {name: partial(_delays, place, task, count) for name, task in tasks.items()}
    for side in sides.values():
        side()
    figures = in_turns(sides, place.either(5, 15))
    place.clear()
    return [
        Line(
            "enqueue", middle(figures[ANP]), middle(figures[name]), "calls/s", name,
            target=1.0, spread=spread(figures[ANP], figures[name]),
        )
        for name in tasks if name != ANP
    ]  # fmt: skip


def _delays(place: Place, task: Any, count: int) -> float:
    place.clear()
    return rate(count, task.delay)
