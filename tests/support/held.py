"""Loaded into workers by ANP_TASKS: an import waits before a chunk for as long as a file named `hold` is beside it."""

from __future__ import annotations

from typing import Any

from tests.support.eventually import eventually
from worker.settings import settings
from worker.site.importing import chunks, location

_write_one = chunks.write_one


def _held(job: chunks.Job, point: Any, chunk: chunks.Chunk) -> Any:
    folder = location.folder(settings())
    hold = folder / "hold"
    if hold.exists() and point.position >= int(hold.read_text() or 0):
        (folder / "held").write_text(str(point.position))
        eventually(lambda: not hold.exists(), 100, "the hold to be over")
    return _write_one(job, point, chunk)


chunks.write_one = _held
