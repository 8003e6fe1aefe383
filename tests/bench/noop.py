"""The guarded tasks that are measured."""

from __future__ import annotations

from tests.bench import sent
from worker.app import app

OURS = {"owner": "bench", "expects": "nothing", "no_rollback": "does nothing"}


@app.task(name="bench.noop", **OURS)
def noop(x: int) -> int:
    """Does nothing."""
    return x


@app.task(name="bench.counted", **OURS)
def counted(x: int) -> int:
    """Tells how many requests this child has sent to Redis so far; the first run begins to count."""
    if not x:
        sent.watch()
    return sent.count()
