"""Beat with many schedules: start, idle rounds, memory, and all of them due in the same second.

Beside it Celery's own beat, and RedBeat where it is installed. The queue is watched from outside.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import peers
from tests.bench.place import Place
from tests.bench.table import Line

QUEUES = {"anp": "default", "stock": "plain", "redbeat": "plain"}
NAMES = {"stock": "Celery's beat", "redbeat": "RedBeat"}
#: Seconds between two looks at the queue, and after which we look no more: a figure of 240 s means at least that.
LOOK, PATIENCE = 0.002, 240.0
#: Seconds that starting and idling may take before the schedules are due, for each thousand of them.
AHEAD = {"anp": 1.0, "stock": 0.5, "redbeat": 4.0}


@dataclass(frozen=True)
class Beat:
    """What one beat did; times in seconds, memory in bytes."""

    start: float
    idle: float
    memory: float
    #: From the due time until a share of all was enqueued.
    half: float
    most: float
    all: float


def lines(place: Place) -> list[Line]:
    """10,000 schedules beside the others', and 100,000 of ours and of Celery's."""
    others = ["stock", *(["redbeat"] if peers.redbeat() else [])]
    found = _beside(place, 10_000, others)
    return found if place.quick else [*found, *_beside(place, 100_000, ["stock"])]


def _beside(place: Place, count: int, others: list[str]) -> list[Line]:
    ours = _run(place, "anp", count)
    found: list[Line] = []
    for other in others:
        theirs = _run(place, other, count)
        found += [
            _line(f"beat start, {count:,}", ours.start, theirs.start, "s", other),
            _line(f"beat idle round, {count:,}", ours.idle * 1e3, theirs.idle * 1e3, "ms", other),
            _line(f"beat memory, {count:,}", ours.memory / 2**20, theirs.memory / 2**20, "MiB", other),
            _line(f"{count:,} due at once: all enqueued", ours.all, theirs.all, "s", other),
            _line(f"{count:,} due at once: lateness p50", ours.half, theirs.half, "s", other),
            _line(f"{count:,} due at once: lateness p99", ours.most, theirs.most, "s", other),
        ]
    promised = [
        Line("promised: idle round, 10,000", ours.idle * 1e3, unit="ms", better="smaller", target=1.0),
        Line("promised: 10,000 due, all enqueued", ours.all, unit="s", better="smaller", target=5.0),
    ]
    return [*found, *(promised if count == 10_000 else [])]


def _line(what: str, ours: float, theirs: float, unit: str, other: str) -> Line:
    return Line(what, ours, theirs, unit, NAMES[other], better="smaller")


def _run(place: Place, kind: str, count: int) -> Beat:
    place.clear()
    due = math.ceil((time.time() + 15 + AHEAD[kind] * count / 1000) / 60) * 60
    command = [sys.executable, "-m", "tests.bench.one_beat", kind, str(count), str(due), str(place.folder)]
    log = place.folder / f"beat-{kind}.log"
    with log.open("wb") as errors:
        beat = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=Path(__file__).parents[2])
    try:
        told = _told(beat, log)
        reached = _watch(place, QUEUES[kind], count, due)
    finally:
        beat.kill()
        beat.wait()
    place.clear()
    return Beat(told["start"], told["idle"], told["memory"], reached[0.5], reached[0.99], reached[1.0])


def _told(beat: subprocess.Popen[bytes], log: Path) -> dict[str, float]:
    assert beat.stdout is not None
    line = beat.stdout.readline()
    assert line, f"the beat ended: {log.read_text(errors='replace')[-2000:]}"
    told: dict[str, Any] = json.loads(line)
    assert told["spare"] > 0, f"it started only {-told['spare']:.0f} s after its schedules were due: raise AHEAD"
    return told


def _watch(place: Place, queue: str, count: int, due: int) -> dict[float, float]:
    """Seconds from the due time until each share of the messages was in the queue."""
    reached: dict[float, float] = {}
    while len(reached) < 3 and time.time() < due + PATIENCE:
        there, now = int(place.redis.llen(queue)), time.time()
        for share in (0.5, 0.99, 1.0):
            if share not in reached and there >= share * count:
                reached[share] = now - due
        time.sleep(LOOK if now > due - 0.5 else 0.2)
    assert min(reached.values(), default=1.0) > 0, "messages came before they were due"
    return {share: reached.get(share, PATIENCE) for share in (0.5, 0.99, 1.0)}
