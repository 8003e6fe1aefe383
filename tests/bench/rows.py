"""Whether begin and settle slow down as the ledger fills: 100,000 and a million finished rows, beside an empty one.

Both ledgers are there at once and called in turns, so that what the machine does meanwhile hits both alike.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uuid_utils import uuid7

from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import End
from tests.bench.ledger import BATCH, begun, planned, register, rows, settled
from tests.bench.place import CONFIG, Place
from tests.bench.rounds import middle
from tests.bench.table import Line
from worker.settings import settings

#: Runs that are begun and settled at each size.
RUNS = 2_000
SIZES = (100_000, 1_000_000)
#: The promise is 10 % more at most.
TARGET = 0.9
#: A million rows would be gigabytes of file.
IN_MEMORY = {**CONFIG, "appendonly": "no"}
EMPTY, FULL = "an empty ledger", "a full one"


def lines(place: Place) -> list[Line]:
    """Microseconds of a call, beside the same call on an empty ledger."""
    from tests.bench.noop import noop

    found: list[Line] = []
    with (
        RedisServer(place.folder / "empty", IN_MEMORY) as empty,
        RedisServer(place.folder / "full", IN_MEMORY) as full,
    ):
        ledgers = {EMPTY: Ledger.connect(settings(), empty.url), FULL: Ledger.connect(settings(), full.url)}
        for ledger in ledgers.values():
            register(ledger)
        _calls(noop, ledgers)  # the first are slower
        for size in SIZES[: place.either(1, 2)]:
            _fill(noop, ledgers[FULL], size)
            calls = _calls(noop, ledgers)
            found += [
                Line(
                    f"{what} at {size:,} rows", calls[what, FULL], calls[what, EMPTY], "µs", EMPTY, better="smaller",
                    target=TARGET,
                )
                for what in ("begin", "settle")
            ]  # fmt: skip
    return found


def _calls(task: Any, ledgers: Mapping[str, Ledger]) -> dict[tuple[str, str], float]:
    """The medians, in microseconds."""
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    ids = {name: [new.run_id for new in planned(ledger, rows(task, RUNS))] for name, ledger in ledgers.items()}
    for number in range(RUNS):
        for name, ledger in ledgers.items():
            run_id = ids[name][number]
            start = time.perf_counter()
            fence = begun(ledger, run_id).fence
            between = time.perf_counter()
            settled(ledger, task.backend, run_id, fence)
            took["begin", name].append(between - start)
            took["settle", name].append(time.perf_counter() - between)
    return {what: middle(figures) * 1e6 for what, figures in took.items()}


def _fill(task: Any, ledger: Ledger, size: int) -> None:
    """Finished rows with whole messages, decided without a body: so that filling takes one script a batch."""
    pattern = next(rows(task, 1, end=End("skipped", "bench")))
    standing = int(ledger.store.read("zcard", ledger.store.key("runs")))
    for first in range(standing, size, BATCH):
        ledger.plan([replace(pattern, run_id=str(uuid7())) for _ in range(min(BATCH, size - first))])
