"""How late beat enqueues at a steady load: one hundred schedules that are due each second, for half a minute.

A tick's lateness is the time from its due time until the script that planned its row and sent its message, by Redis'
clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.place import Place
from tests.bench.table import Line
from tests.support.eventually import eventually

SCHEDULES, SECONDS = 100, 30
ENTRY = '[[schedule]]\nname = "s{}"\ntask = "probe.add"\nevery = "1s"\ninput = {{ x = 1, y = 2 }}\n'


def lines(place: Place) -> list[Line]:
    """p50 and p99 of what one beat does, the latter with its promise."""
    place.clear()
    file = place.folder / "each-second.toml"
    file.write_text("".join(ENTRY.format(number) for number in range(SCHEDULES)), encoding="utf-8")
    wanted = SCHEDULES * place.either(10, SECONDS)
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "beat", "-S", "celery_anp.beat:Scheduler"]
    with (place.folder / "lateness.log").open("wb") as log:
        beat = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=Path(__file__).parents[2],
            env={**os.environ, "ANP_SCHEDULES": str(file)},
        )  # fmt: skip
    try:
        eventually(lambda: place.redis.zcard("anp:ledger:runs") >= wanted, 120, f"{wanted} ticks")
    finally:
        beat.kill()
        beat.wait()
    late = sorted(_lateness(place))
    place.clear()
    return [
        Line("lateness p50, 100 ticks/s", _share(late, 0.5), unit="ms", better="smaller"),
        Line("promised: lateness p99, 100 ticks/s", _share(late, 0.99), unit="ms", better="smaller", target=100.0),
    ]


def _lateness(place: Place) -> list[float]:
    found = []
    for key in place.redis.scan_iter("anp:ledger:run:*", count=1000):
        created, tick = place.redis.hmget(key, "created", "tick")
        found.append(float(created) - float(tick))
    return found


def _share(values: list[float], share: float) -> float:
    return values[min(int(share * len(values)), len(values) - 1)]
