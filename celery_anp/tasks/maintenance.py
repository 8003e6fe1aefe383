"""Tasks that look after anp itself."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from pydantic import BaseModel, ConfigDict, PositiveInt

from celery_anp.task import ReliableTask


class Beat(BaseModel):
    """What a heartbeat saw."""

    model_config = ConfigDict(frozen=True)

    #: Living nodes.
    workers: int
    beats: int
    #: Runs that wait for a worker.
    queued: int


class Pruned(BaseModel):
    """What was dropped from the ledger's indexes."""

    model_config = ConfigDict(frozen=True)

    rows: int


@shared_task(
    bind=True, base=ReliableTask, name="maintenance.heartbeat", owner="platform",
    expects="a worker and a beat are alive", no_rollback="reads only", time_limit=30,
    confirm=lambda seen: seen.workers > 0 and seen.beats > 0,
)  # fmt: skip
def heartbeat(self: Any) -> Beat:
    """Proof of life through the whole way of a tick: beat, ledger, broker, worker."""
    nodes = self.ledger.nodes()
    kinds = [node.kind for node in nodes]
    return Beat(workers=kinds.count("worker"), beats=kinds.count("beat"), queued=self.ledger.backlog()["queued"])


@shared_task(
    bind=True, base=ReliableTask, name="maintenance.prune", owner="platform",
    expects="no index names a row that is gone",
    no_rollback="drops only names of rows that Redis has dropped already", time_limit=300,
)  # fmt: skip
def prune(self: Any, batch: PositiveInt = 1000) -> Pruned:
    """Drops expired rows from the ledger's indexes, in bounded batches."""
    rows = 0
    while dropped := self.ledger.prune(batch):
        rows += dropped
        self.progress(rows, rows)
    return Pruned(rows=rows)
