"""Tells a team's handlers of a run that failed without its body: its hard limit passed, or its child died too often.

As Celery does: the signal `task_failure`, and for a hard limit the task's `on_failure` and `after_return`, in the
worker's main process. In a thread of its own: a handler may take its time, and the lease must be renewed meanwhile.

Limit: a run whose whole worker died is told to nobody, as by Celery.
"""

from __future__ import annotations

import threading
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded
from celery import states
from celery.app.task import Context
from celery.signals import task_failure
from celery.utils.log import get_logger

from celery_anp.reliability.ledger import Ledger
from celery_anp.sending.message import read_back

log = get_logger(__name__)


def tell(app: Any, ledger: Ledger, run_id: str, error: Exception) -> None:
    """Tell of a failure, if that is what has become of the run.

    Args:
        app: the guarded app.
        ledger: the ledger.
        run_id: the run.
        error: why it failed, as Celery has it.

    Raises:
        LedgerUnavailable: nobody was told.
    """
    row = ledger.row_key(run_id)
    task, text, failed_as, again = ledger.store.read("hmget", row, ["task", "message", "failed_as", "rollback_losses"])
    if failed_as not in ("failed", "quarantined") or int(again or 0) or not text or task not in app.tasks:
        return
    message = read_back(text)
    args, kwargs, embedded = message.body
    request = {**message.headers, **embedded, "args": args, "kwargs": kwargs, "called_directly": False}
    threading.Thread(
        target=_tell, args=(app.tasks[task], Context(request), error), name="anp-failure", daemon=True
    ).start()


def _tell(task: Any, request: Any, error: Exception) -> None:
    task.request_stack.push(request)
    known = {"task_id": request.id, "args": request.args, "kwargs": request.kwargs}
    try:
        try:
            raise error
        except Exception:
            einfo = ExceptionInfo()
        if isinstance(error, TimeLimitExceeded):
            task.on_failure(error, *known.values(), einfo)
            task.after_return(states.FAILURE, error, *known.values(), None)
        told = {**known, "exception": error, "traceback": error.__traceback__, "einfo": einfo}
        task_failure.send(sender=task, **told)
    except Exception:
        log.exception("a handler of the failure of %s raised", request.id)
    finally:
        task.request_stack.pop()
