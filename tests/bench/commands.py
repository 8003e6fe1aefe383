"""What one run asks of Redis: round trips of the producer and of the child, and commands of all processes together."""

from __future__ import annotations

from typing import Any

from tests.bench import sent
from tests.bench.drain import worker
from tests.bench.overheard import Overheard
from tests.bench.place import Place
from tests.bench.table import Line
from tests.support.stack import Stack

RUNS = 200
PRODUCER, CHILD = "round trips of the producer a run", "round trips of the child a run"
#: Two script calls: begin and settle.
TARGETS = {CHILD: 1.0}


def lines(place: Place) -> list[Line]:
    """Each figure is for one no-op run, results on."""
    from tests.bench import noop, plain

    sent.watch()
    anp = _of(place, noop.counted, noop.noop, "worker.app")
    theirs = _of(place, plain.counted, plain.noop, "tests.bench.plain")
    place.clear()
    return [Line(what, anp[what], theirs[what], better="smaller", target=TARGETS.get(what)) for what in anp]


def _of(place: Place, counted: Any, noop: Any, app: str) -> dict[str, float]:
    place.clear()
    noop.delay(0)
    before = sent.count()
    with Overheard(place.server.url) as enqueueing:
        for number in range(RUNS):
            noop.delay(number)
    producer = sent.count() - before
    place.clear()
    with Stack(place.folder, place.server.url) as stack:
        worker(stack, app, "-c", "1")
        first = counted.delay(0).get(timeout=60)
        with Overheard(place.server.url) as working:
            last = [counted.delay(number + 1) for number in range(RUNS)][-1].get(timeout=60)
    return {
        PRODUCER: producer / RUNS,
        CHILD: (last - first) / RUNS,
        "commands of clients to enqueue a run": enqueueing.counted["tcp"] / RUNS,
        "commands in scripts to enqueue a run": enqueueing.counted["lua"] / RUNS,
        "commands of clients to work it off": (working.counted["tcp"] - enqueueing.counted["tcp"]) / RUNS,
        "commands in scripts to work it off": (working.counted["lua"] - enqueueing.counted["lua"]) / RUNS,
    }
