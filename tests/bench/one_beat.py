"""`python -m tests.bench.one_beat anp|stock|redbeat COUNT DUE FOLDER`: one beat in a process of its own.

It prints what starting and idling cost as one line of JSON, and then goes on as `celery beat` does until it is killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.bench import timetable

#: Rounds with nothing due that are measured.
IDLE_ROUNDS = 30


def anp(count: int, due: int, folder: Path) -> Callable[[], Any]:
    """Ours, on a file of schedules."""
    file = folder / "schedules.toml"
    timetable.toml(count, due, file)
    os.environ["ANP_SCHEDULES"] = str(file)
    from celery_anp.beat.scheduler import Scheduler
    from celery_anp.contract.complete import guarded_tasks
    from worker.app import app

    guarded_tasks(app)
    return lambda: Scheduler(app)


def stock(count: int, due: int, _: Path) -> Callable[[], Any]:
    """Celery's own, its entries in memory."""
    from celery.beat import Scheduler

    app = _plain(count, due)
    return lambda: Scheduler(app, max_interval=1)


def redbeat(count: int, due: int, _: Path) -> Callable[[], Any]:
    """RedBeat. What has never run is due at once for it, so each entry is told that it has run just now."""
    from redbeat import RedBeatScheduler, RedBeatSchedulerEntry

    app = _plain(count, due)
    app.conf.redbeat_redis_url = app.conf.broker_url
    app.conf.redbeat_redis_options = {}
    app.conf.redbeat_lock_key = None  # one beat: nobody to keep out

    def make() -> Any:
        scheduler = RedBeatScheduler(app, max_interval=1)
        for name in app.conf.beat_schedule:
            key = RedBeatSchedulerEntry.generate_key(app, name)
            RedBeatSchedulerEntry.from_key(key, app).reschedule()
        return scheduler

    return make


def _plain(count: int, due: int) -> Any:
    from tests.bench.plain import app

    app.conf.beat_schedule = timetable.beat_schedule(count, due)
    app.finalize()
    return app


def main(kind: str, count: int, due: int, folder: Path) -> None:
    """Start, idle, tell, and go on."""
    make = {"anp": anp, "stock": stock, "redbeat": redbeat}[kind](count, due, folder)
    before, began = _memory(), time.perf_counter()
    scheduler = make()
    started = time.perf_counter() - began
    scheduler.tick()
    idle = [_timed(scheduler.tick) for _ in range(IDLE_ROUNDS)]
    told = {"start": started, "idle": median(idle), "memory": _memory() - before, "spare": due - time.time()}
    print(json.dumps(told), flush=True)
    while True:
        time.sleep(max(0.0, min(scheduler.tick(), 1.0)))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
