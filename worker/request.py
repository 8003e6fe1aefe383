"""How the worker's main process hears of a death: a child that was killed, a hard time limit.

No hook of the task runs then. Celery would store a failure that the ledger has not decided, so both are told to the
lease thread, which reports them; the heartbeat would find them anyway.
"""

from __future__ import annotations

from typing import Any, Literal

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from celery.worker.state import task_ready

from worker.reconcile import Report


class RunRequest(Request):
    """A request whose deaths go to the ledger."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A time limit passed; of the hard one `on_failure` has heard already."""
        if soft:
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """An attempt ended without success; what killed its child is the ledger's to judge."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, TimeLimitExceeded):
            return self._lost("limit", f"its hard time limit of {error.args[0]:g} s passed")
        if isinstance(error, (SystemExit, KeyboardInterrupt, WorkerLostError)):
            return self._lost("child", f"its child is gone: {error}")
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def _lost(self, what: Literal["child", "limit"], reason: str) -> None:
        task_ready(self)
        lease = getattr(self.task.app, "lease", None)
        if lease is not None:
            lease.reconciler.tell(Report(self.id, what, reason, self.worker_pid or 0))
        self.acknowledge()
        self.send_event("task-failed", exception=reason, traceback="")
