"""Whether begin and settle slow down as the ledger fills: 0, 100,000 and a million finished rows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from uuid_utils import uuid7

from tests.bench.ledger import BATCH, begun, planned, register, rows, settled
from tests.bench.place import Place
from tests.bench.rounds import middle
from tests.bench.table import Line

#: Runs that are begun and settled at each size.
RUNS = 2_000
SIZES = (100_000, 1_000_000)
#: The promise is 10 % more at most.
TARGET = 0.9
EMPTY = "an empty ledger"


def lines(place: Place) -> list[Line]:
    """Microseconds of a call, beside the same call on an empty ledger."""
    from tests.bench.noop import noop

    place.clear()
    place.redis.config_set("appendonly", "no")  # a million rows would be gigabytes of file
    _calls(noop)
    place.clear()
    empty, standing = _calls(noop), RUNS
    found: list[Line] = []
    for size in SIZES[: place.either(1, 2)]:
        _fill(noop, size - standing)
        standing = size
        full = _calls(noop)
        found += [
            Line(f"{what} at {size:,} rows", full[what], empty[what], "µs", EMPTY, better="smaller", target=TARGET)
            for what in empty
        ]
    place.clear()
    place.redis.config_set("appendonly", "yes")
    return found


def _calls(task: Any) -> dict[str, float]:
    register(task)
    ids = [new.run_id for new in planned(task, RUNS)]
    begins, settles = [], []
    for run_id in ids:
        start = time.perf_counter()
        fence = begun(task, run_id).fence
        between = time.perf_counter()
        settled(task, run_id, fence)
        begins.append(between - start)
        settles.append(time.perf_counter() - between)
    return {"begin": middle(begins) * 1e6, "settle": middle(settles) * 1e6}


def _fill(task: Any, count: int) -> None:
    """Finished rows with whole messages, decided without a body: so that filling takes one script a batch."""
    pattern = next(rows(task, 1, ends="skipped", reason="bench"))
    for first in range(0, count, BATCH):
        task.ledger.plan([replace(pattern, run_id=f"{task.name}#{uuid7()}") for _ in range(min(BATCH, count - first))])
