"""How far one guarded call and one tick go through our own code: files, and steps from one file into another."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.place import Place
from tests.bench.table import Line
from tests.bench.way import Way, way_of
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from celery_anp.beat.scheduler import Scheduler

SCHEDULE = '[[schedule]]\nname = "each-second"\ntask = "bench.noop"\nevery = "1s"\ninput = { x = 1 }\n'


def lines(place: Place) -> list[Line]:
    """The files in their order go to stderr."""
    return [*_told("one guarded .delay()", _call(place)), *_told("one tick, decided and sent by beat", _tick(place))]


def _call(place: Place) -> Way:
    from tests.bench.noop import noop

    place.clear()
    noop.delay(0)
    return way_of(lambda: noop.delay(1))


def _tick(place: Place) -> Way:
    """A round in which a tick is due; the one before it has done what only a first one does."""
    place.clear()
    _write(place.folder / "each-second.toml")
    from celery_anp.beat.scheduler import Scheduler
    from celery_anp.contract.complete import guarded_tasks
    from worker.app import app

    guarded_tasks(app)
    scheduler = Scheduler(app)
    try:
        eventually(lambda: _round(place, scheduler), what="beat's first tick is planned")
        way = eventually(lambda: _round(place, scheduler), what="beat's second tick is planned")
        assert way
        return way
    finally:
        scheduler.close()


def _round(place: Place, scheduler: Scheduler) -> Way | None:
    """The way of one round of beat, if it planned a run."""
    before = place.redis.zcard("anp:ledger:runs")
    way = way_of(scheduler.tick)
    return way if place.redis.zcard("anp:ledger:runs") > before else None


def _write(file: Path) -> None:
    file.write_text(SCHEDULE, encoding="utf-8")
    os.environ["ANP_SCHEDULES"] = str(file)
    from celery_anp.settings import read

    read.cache_clear()


def _told(what: str, way: Way) -> list[Line]:
    print(f"{what}:\n  " + "\n  ".join(way.files), file=sys.stderr)
    return [
        Line(f"files of {what}", len(way.files), better="smaller"),
        Line(f"hops between files of {what}", way.hops, better="smaller"),
        Line(f"calls of our functions in {what}", way.calls, better="smaller"),
    ]
