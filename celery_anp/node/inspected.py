"""Celery's `inspect scheduled` and `inspect revoked`, which Flower shows too: of runs the ledger tells them.

Of the workers that serve a queue one tells what waits for a time there, so that each run is told once.

Limit: a worker tells at most `MOST` runs, those that are due first. What was revoked it knows since its start, as
Celery's own workers do.
"""

from __future__ import annotations

from typing import Any

from celery.utils.collections import LimitedSet
from celery.utils.log import get_logger
from celery.worker import control
from celery.worker import state as worker_state

from celery_anp.errors import AnpError
from celery_anp.execution import identity
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import Run

log = get_logger(__name__)

#: Runs that one worker tells of.
MOST = 200
#: The priority that Celery gives each task that waits for a time in a worker.
PRIORITY = 6
#: Ids of runs that this worker was asked to revoke.
asked = LimitedSet(maxlen=worker_state.REVOKES_MAX, expires=worker_state.REVOKE_EXPIRES)


def install() -> None:
    """Let this worker answer the remote control commands `scheduled` and `revoked` so."""
    control.Panel.data.update(scheduled=scheduled, dump_schedule=scheduled, revoked=revoked, dump_revoked=revoked)


def scheduled(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks."""
    told = list(control.scheduled(state, **kwargs))
    try:
        return told + [_entry(run, state.hostname) for run in _told_here(state.app.ledger)]
    except AnpError as error:
        log.warning("what waits for a time cannot be told: %s", error)
        return told


def revoked(state: Any, **kwargs: Any) -> list[str]:
    """List of revoked task-ids."""
    return [*control.revoked(state, **kwargs), *asked]


def _told_here(ledger: Ledger) -> list[Run]:
    tellers: dict[str, str] = {}
    for node in sorted(ledger.nodes(), reverse=True):
        if node.kind == "worker":
            tellers |= dict.fromkeys(node.queues or (), node.node)
    own = identity.current()
    return [run for run in ledger.delayed(MOST) if tellers.get(run.queue) == own]


def _entry(run: Run, hostname: str) -> dict[str, Any]:
    fields = dict(run.input)
    request = {
        "id": run.run_id, "name": run.task, "type": run.task, "args": fields.pop("args", []), "kwargs": fields,
        "hostname": hostname, "time_start": None, "acknowledged": False, "worker_pid": None,
        "delivery_info": {"exchange": "", "routing_key": run.queue},
    }  # fmt: skip
    return {"eta": run.due_at.isoformat() if run.due_at else None, "priority": PRIORITY, "request": request}
