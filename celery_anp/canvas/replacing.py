"""`self.replace`: a run goes on as what its body put in its place.

Its row keeps the replacement in the script that settles, and waits: `delayed`, at most as long as a failed row is kept.
Then the child sends it, or upkeep where the child died first. The task in it that has the run's own id is planned as
the row that goes on (planning.lua): with its name, input, lock and hook. Where an earlier part of it fails, the run has
failed.

Limits: steps are the first body's alone. Undo entries are those of the run, so that only the same task can go on with
them. Where a task goes on that is not guarded, the run ends as sent, and Celery keeps the result.
"""

from __future__ import annotations

from typing import Any

from celery.canvas import Signature
from celery.exceptions import Ignore
from kombu.utils import json

from celery_anp.canvas import signatures
from celery_anp.errors import BadUsage
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.ledger import Ledger
from celery_anp.security import ERROR_LIMIT
from celery_anp.wording import name_of, words


class Replaced(Ignore):
    """The body has put something in its place.

    Args:
        signature: what; it and all in it have their ids.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__("Replaced by new task")
        self.signature = signature


def checked(task: Any, attempt: Attempt, signature: Signature) -> Replaced:
    """How the body ends that is replaced.

    Args:
        task: the guarded task that is replaced.
        attempt: the attempt that is running.
        signature: the replacement, as Celery has made it ready.

    Raises:
        BadUsage: the run has undo entries, which the hook of another task does not know.
    """
    named = {one.task for one in signatures.tasks_of(task.app, signature) if one.id == attempt.run_id}
    if task.has_rollback and named != {task.name} and attempt.ask(attempt.ledger.undo_entries, attempt.run_id):
        raise BadUsage(
            f"{attempt.run_id} has undo entries, so it cannot go on as another task",
            expected=f"undo entries after the replacement only, or {task.name} itself as what follows",
            given=words(signature, 200),
        )
    return Replaced(signature)


def begins_apart(app: Any, run_id: str, signature: Signature) -> bool:
    """Whether other runs come first, before the run itself goes on."""
    first = signatures.first(app, signature)
    return first.subtask_type in ("group", "chord") or first.id != run_id


def give_up(ledger: Ledger, run_id: str, error: BaseException) -> None:
    """What a run was replaced by has failed: so has the run, if it waits for that.

    Raises:
        LedgerUnavailable: it was not told.
    """
    said = words(error, ERROR_LIMIT)
    told = {"type": name_of(error), "message": said, "traceback": "", "retry_safe": None}
    ledger.give_up(run_id, f"what it was replaced by failed: {said}", json.dumps(told))
