"""How quickly a worker works off a queue: no-op runs enqueued beforehand, results on, one worker with two children."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from tests.bench.place import Place
from tests.bench.rounds import in_turns, middle, spread
from tests.bench.table import Line
from tests.support.eventually import eventually
from tests.support.stack import Stack

#: Seconds between two looks at the queue.
LOOK = 0.005
#: The last results are looked for one by one; the children work on no more than this many at a time.
LAST = 200


def lines(place: Place) -> list[Line]:
    """Runs a second, and what Redis' own CPU costs per run."""
    from tests.bench import noop, plain

    count = place.either(1500, 5000)
    cpu: dict[str, list[float]] = {"anp": [], "plain": []}
    sides = {
        "anp": partial(_drain, place, noop.noop, "worker.app", "default", count, cpu["anp"]),
        "plain": partial(_drain, place, plain.noop, "tests.bench.plain", "plain", count, cpu["plain"]),
    }
    figures = in_turns(sides, place.either(2, 6))
    place.clear()
    return [
        Line(
            "drain", middle(figures["anp"]), middle(figures["plain"]), "runs/s", target=1.0,
            spread=spread(figures["anp"], figures["plain"]),
        ),
        Line("Redis' CPU a run", middle(cpu["anp"]), middle(cpu["plain"]), "µs", better="smaller"),
    ]  # fmt: skip


def worker(stack: Stack, app: str, *arguments: str) -> None:
    """A worker that logs nothing of its runs."""
    stack.start(
        f"worker{len(stack.processes)}", "-A", app, "worker", "-l", "WARNING", "-c", "2",
        "--without-gossip", "--without-mingle", *arguments,
    )  # fmt: skip


def _drain(place: Place, task: Any, app: str, queue: str, count: int, cpu: list[float]) -> float:
    place.clear()
    ids = [task.delay(number).id for number in range(count)]
    with Stack(place.folder, place.server.url) as stack:
        worker(stack, app)
        eventually(lambda: place.redis.llen(queue) < count, 30, "the worker to take its first message")
        began, busy = time.perf_counter(), _cpu(place)
        while place.redis.llen(queue):
            time.sleep(LOOK)
        while not _stored(place, ids[-LAST:]):
            time.sleep(LOOK)
        took = time.perf_counter() - began
        cpu.append((_cpu(place) - busy) / count * 1e6)
        assert _stored(place, ids), "a result is missing"
    return count / took


def _stored(place: Place, ids: list[str]) -> bool:
    return bool(place.redis.exists(*(f"celery-task-meta-{one}" for one in ids)) == len(ids))


def _cpu(place: Place) -> float:
    used = place.redis.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])
