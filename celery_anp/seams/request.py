"""How the worker's main process hears of an end that no body has told: a death, a hard time limit, a revocation.

Celery would store an end that the ledger has not decided, and call hooks for a run that is tried again. So each is told
to the lease thread, which reports it, and tells handlers of a failure for good (`node.failures`); the heartbeat would
find a death anyway.
"""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.signals import task_revoked
from celery.worker import state
from celery.worker.request import Request
from celery.worker.state import task_ready

from celery_anp.errors import AnpError
from celery_anp.execution.delivered import SEAL
from celery_anp.node.reconcile import Report, What
from celery_anp.sending.message import STAMP, read_back


class RunRequest(Request):
    """A request whose end goes to the ledger where its body could not tell it."""

    def __init__(self, message: Any, **known: Any) -> None:
        """The row says when the run is due and until when: nothing waits or expires here because a message says so."""
        super().__init__(message, **known)
        self._request_dict[SEAL] = getattr(message, "seal", "")
        self._eta = self._expires = None

    def revoked(self) -> bool:
        """Whether Celery was told not to run it: by its id, or by stamps that are its row's own."""
        if self.stamped_headers and state.revoked_stamps and not self._stamped_by_row():
            self._request_dict["stamped_headers"] = None
        return bool(super().revoked())

    def _stamped_by_row(self) -> bool:
        ledger = self.task.ledger
        try:
            text = ledger.store.read("hget", ledger.row_key(self.id), "message")
        except AnpError:
            return False  # it goes on to begin, which asks again
        own = read_back(text).headers if text else self._request_dict
        return all(own.get(name) == self._request_dict.get(name) for name in ("stamped_headers", "stamps"))

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
        if isinstance(error, (SystemExit, KeyboardInterrupt, WorkerLostError)) or self._was_revoked(error):
            return self._lost("child", f"its child is gone: {error}")
        if isinstance(error, MemoryError):  # settled in the child as any failure; Celery would end the whole worker
            return self._over(repr(error), exc_info.traceback)
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def _was_revoked(self, error: BaseException) -> bool:
        return isinstance(error, Terminated) and self._already_revoked

    def _lost(self, what: What, reason: str) -> None:
        self._tell(what, reason)
        self._over(reason)

    def _tell(self, what: What, reason: str) -> None:
        lease = getattr(self.task.app, "lease", None)
        if lease is not None:
            lease.reconciler.tell(Report(self.id, what, reason, self.worker_pid or 0))

    def _over(self, reason: str, traceback: str = "") -> None:
        task_ready(self)
        self.acknowledge()
        if not self._already_revoked:
            self.send_event("task-failed", exception=reason, traceback=traceback)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Celery will not run it, or ends its child: the ledger cancels it, and tells its end and its links.

        A child that is being ended is busy until it is gone.
        """
        if STAMP not in self._request_dict:  # a foreign producer's: it may have no row yet
            super()._announce_revoked(reason, terminated, signum, expired)
            return
        self._tell("revoked", f"{reason} by Celery")
        self._already_revoked = True
        if not terminated:
            task_ready(self)
        self.acknowledge()
        told = {"terminated": terminated, "signum": signum, "expired": expired}
        self.send_event("task-revoked", **told)
        task_revoked.send(sender=self.task, request=self._context, **told)
