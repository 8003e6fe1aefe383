"""A task of a newer release: workers of the old one do not know it."""

from __future__ import annotations

from worker.app import app


@app.task(name="newer.double", owner="tests", expects="twice the number", no_rollback="reads only")
def double(x: int) -> int:
    """Known to who loads this module."""
    return x * 2
