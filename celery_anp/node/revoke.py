"""Celery's `revoke`, as `AsyncResult.revoke` and Flower ask for it: the ledger cancels the run, wherever it is.

Celery would keep the id in the memory of each worker and discard its messages, those of an operator's retry too. So the
ids of runs are kept out of there. What has no row in the ledger stays Celery's.

Limit: it waits for Redis in the worker's main process, as Celery's own does. A run whose body has begun ends as
cancelled when the body ends without success or its child is ended (`terminate=True`); an earlier success wins.
"""

from __future__ import annotations

from typing import Any

from celery.utils.log import get_logger
from celery.worker import control
from celery.worker import state as worker_state
from kombu.utils.functional import maybe_list

from celery_anp.errors import Refused
from celery_anp.node import inspected
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import Run

log = get_logger(__name__)


def install() -> None:
    """Let this worker answer the remote control commands `revoke` and `terminate` so."""
    control.Panel.data.update(revoke=revoke, terminate=terminate)


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **kwargs: Any) -> Any:
    """Revoke task by task id (or list of ids)."""
    ids = set(maybe_list(task_id) or ())
    inspected.asked.update(ids)
    found = {run_id: cancel(state.app.ledger, run_id) for run_id in ids}
    runs = [run for run in found.values() if run is not None]
    if terminate:
        _end_bodies(state, runs, signal)
    others = {run_id for run_id, run in found.items() if run is None}
    if others:
        control.revoke(state, others, terminate, signal, **kwargs)
    return {"ok": f"tasks {ids} flagged as revoked; now {[f'{run.run_id} is {run.state}' for run in runs]}"}


def terminate(state: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """Terminate task by task id (or list of ids)."""
    return revoke(state, task_id, terminate=True, signal=signal, **kwargs)


def cancel(ledger: Ledger, run_id: str) -> Run | None:
    """Cancel a run for Celery.

    Args:
        ledger: the ledger.
        run_id: the run.

    Returns:
        The run after it, unchanged where it has ended or is being rolled back; None for what is not the ledger's.
    """
    run = ledger.find(run_id)
    if run is None or run.state == "sent":
        return None
    try:
        run = ledger.operate(run_id, "cancel", "Celery", "revoked")
    except Refused:
        return ledger.find(run_id)
    log.info("%s was revoked: it is %s", run_id, run.state)
    return run


def _end_bodies(state: Any, runs: list[Run], signal: str | None) -> None:
    for run in runs:
        request = worker_state.requests.get(run.run_id)
        if request is not None and run.state == "running":
            request.terminate(state.consumer.pool, signal=signal)
