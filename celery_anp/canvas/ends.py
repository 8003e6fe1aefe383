"""Celery's backend is told how a run ended, where no script and no child has told it.

So `.get()` returns for a run that was revoked, expired, killed or reaped, also where results are on another Redis, in a
database, compressed or pickled. Upkeep does it, with the next links.

Limit: a run that an operator tries again keeps its old record, where that is not on the ledger's Redis, until it ends.
"""

from __future__ import annotations

from typing import Any

from celery.exceptions import TaskRevokedError
from celery.states import FAILURE, REVOKED, SUCCESS

from celery_anp.errors import RunEnded
from celery_anp.reliability.run import Run

#: Celery's word for each state in which a run has ended, as the scripts have it (base.lua).
STATUS = {
    "succeeded": SUCCESS, **dict.fromkeys(("failed", "quarantined", "rolled_back", "rollback_failed"), FAILURE),
    **dict.fromkeys(("skipped", "expired", "cancelled"), REVOKED),
}  # fmt: skip


def tell(app: Any, run: Run, request: Any, state: str, reason: str) -> None:
    """Store the record of an ended run, unless the backend has one that says the same.

    Args:
        app: the guarded app.
        run: the run.
        request: the run's, as Celery has it.
        state: how it ended; that of a run that is rolled back, before that.
        reason: why.

    Raises:
        Exception: whatever the backend raises; it is told again.
    """
    status = STATUS.get(state)
    if status is None or app.backend.get_state(run.run_id) == status:
        return
    app.backend.store_result(run.run_id, _result(run, status, state, reason), status, request=request)


def _result(run: Run, status: str, state: str, reason: str) -> Any:
    if status == SUCCESS:
        return run.result
    words = f"The run {run.run_id} ended as {state}: {reason}"
    return TaskRevokedError(words) if status == REVOKED else RunEnded(words)
