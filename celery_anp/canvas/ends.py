"""Celery's backend is told how a run ended, where no script and no child has told it.

So `.get()` returns for a run that was revoked, expired, killed or reaped, also where results are on another Redis, in a
database, compressed or pickled. Upkeep does it, with the next links.

Limit: a run that an operator tries again keeps its old record, where that is not on the ledger's Redis, until it ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery.backends.base import DisabledBackend
from celery.exceptions import TaskRevokedError
from celery.states import FAILURE, REVOKED, SUCCESS

from celery_anp.errors import RunEnded
from celery_anp.reliability.run import Run

#: Celery's word for each state in which a run has ended, as the scripts have it (base.lua).
STATUS = {
    "succeeded": SUCCESS, **dict.fromkeys(("failed", "quarantined", "rolled_back", "rollback_failed"), FAILURE),
    **dict.fromkeys(("skipped", "expired", "cancelled"), REVOKED),
}  # fmt: skip
LOST = "its result is not in its row, and its worker went down before it was stored"


def whole(app: Any, run: Run) -> tuple[Run, str | None]:
    """A run with all of its result, of which its row has only a part.

    Args:
        app: the guarded app.
        run: a run that succeeded.

    Returns:
        The run, and None; where nobody has its result, the run as it was, and words that say so.
    """
    known = {} if isinstance(app.backend, DisabledBackend) else app.backend.get_task_meta(run.run_id)
    if known.get("status") != SUCCESS:
        return run, LOST
    return replace(run, result=known["result"]), None


def tell(app: Any, run: Run, request: Any, state: str, reason: str, *, lost: bool = False) -> None:
    """Store the record of an ended run, unless the backend has one that says the same.

    Args:
        app: the guarded app.
        run: the run, with all of its result.
        request: the run's, as Celery has it.
        state: how it ended; that of a run that is rolled back, before that.
        reason: why.
        lost: it has succeeded, and nobody has its result: whoever waits for it gets an error that gives the reason.

    Raises:
        Exception: whatever the backend raises; it is told again.
    """
    status = FAILURE if lost else STATUS.get(state)
    if status is None or app.backend.get_state(run.run_id) == status:
        return
    words = f"The run {run.run_id} ended as {state}: {reason}"
    errors = {FAILURE: RunEnded(words), REVOKED: TaskRevokedError(words)}
    app.backend.store_result(run.run_id, errors.get(status, run.result), status, request=request)
