"""The worker's consumer, where Celery would drop what the ledger has to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import signals
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import AnpError, LedgerUnavailable
from celery_anp.node import aside
from celery_anp.node.reconcile import Report
from celery_anp.seams.readable import Unreadable, check_task
from celery_anp.seams.reading import NOT_ITS_FAULT, read_through
from celery_anp.seams.unacked import is_doorbell

log = get_logger(__name__)


def lost_when_unblocked(loop: Callable[..., Any]) -> Callable[..., Any]:
    """An event loop for which a read that a failover broke off is a lost connection; Celery would end the worker."""

    def run(*args: Any) -> Any:
        try:
            return loop(*args)
        except ResponseError as error:
            if str(error).startswith("UNBLOCKED"):
                raise LostConnectionError(str(error)) from error
            raise

    return run


class LedgerConsumer(Consumer):
    """Parks a run whose task it does not know instead of failing it, and sets aside a message that cannot be read.

    A Redis that answers `READONLY` has become a replica in a failover: connecting again finds the new master.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: How many messages have come.
        self.heard = 0
        celerys: Any = self
        celerys.connection_errors = (*celerys.connection_errors, ReadOnlyError)
        celerys.loop = lost_when_unblocked(celerys.loop)

    def connection_for_read(self, heartbeat: float | None = None) -> Any:
        """The connection that messages come through: kombu gets only what it can read, and no record of doorbells."""
        connection = self.app.connection_for_read(heartbeat=heartbeat)
        return self.ensure_connected(read_through(connection, self.set_aside))

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """What is done with a message that comes."""
        handle = super().create_task_handler(*args, **options)

        def on_message(message: Any) -> Any:
            self.heard += 1
            try:
                task, run_id = check_task(message)
                if self._is_doubled(message) or self._is_of_another(message, task, run_id):
                    return message.ack_log_error(log, self.connection_errors)
                return handle(message)
            except NOT_ITS_FAULT:
                raise
            except Exception as error:
                return self._refuse(message, error)

        return on_message

    def set_aside(self, source: str, text: bytes, error: Exception) -> None:
        """Keep what can be kept of a message that cannot be read, and go on.

        Args:
            source: the broker's list that it came from.
            text: the message.
            error: why it cannot be read.
        """
        reason = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
        log.error("a message of %s cannot be read and is set aside: %s", source, reason)
        try:
            aside.keep(self.app, source, text, reason)
        except AnpError as away:
            log.error("nothing was kept of it: %s", away)

    def _refuse(self, message: Any, error: Exception) -> None:
        if message.came:
            source, text = message.came
            self.set_aside(source, text, error)
        else:
            log.warning("a broadcast cannot be read and is dropped: %s", error)
        if not message.acknowledged:
            message.ack_log_error(log, self.connection_errors)
        signals.task_rejected.send(sender=self, message=message, exc=error)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that is not as its headers say."""
        self._refuse(message, exc)

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """A message that Celery makes no task of."""
        self._refuse(message, exc)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """A message that is no task's."""
        self._refuse(message, Unreadable("it names no task"))

    def _is_doubled(self, message: Any) -> bool:
        """Whether a run that is rung again is here already: it would spend a token of its rate limit for nothing.

        Runs without a rate limit are left to begin, which refuses a doubled message at once.
        """
        headers = message.headers or {}
        bucket = self.task_buckets.get(headers.get("task"))
        if bucket is None or not is_doorbell(message):
            return False
        waiting = {request.id for request, _ in tuple(bucket.contents)}
        return headers["id"] in waiting or headers["id"] in state.requests

    def add_task_queue(self, queue: Any, *args: Any, **options: Any) -> None:
        """Remote control asks for a queue; one that cannot be had is no reason to end the worker."""
        try:
            super().add_task_queue(queue, *args, **options)
        except NOT_ITS_FAULT:
            raise
        except Exception as error:
            log.error("the queue %r cannot be consumed from: %r", queue, error)

    def _is_of_another(self, message: Any, name: str, run_id: str) -> bool:
        """Whether a task that is not guarded would run under the id of a run: its message is no more than a doorbell.

        What is guarded asks the ledger when it begins.
        """
        task, lease = self.app.tasks.get(name), getattr(self.app, "lease", None)
        if lease is None or task is None or isinstance(task, DeclaredTask):
            return False
        if is_doorbell(message):  # it was guarded when its row was planned, or it is a forgery
            lease.reconciler.tell(Report(run_id, "unknown", f"{name} is not guarded here"))
            return True
        if self._task_of(run_id) in ("", name):
            return False
        lease.reconciler.tell(Report(run_id, "other", f"a message with its id was of {name}"))
        return True

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Clears the lost connection away; what goes wrong with that is no reason to end the worker, as Celery would.

        With prefetched messages on it, kombu fails to close a connection whose transport it has collected just before.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:
            log.warning("the lost connection was left as it is: %r", error)

    def cancel_active_requests(self) -> None:
        """The grace of a shutdown is over: the bodies that still run are ended by us, which is no loss of theirs.

        Celery ends the pool right after; a death that the lease thread sees before the goodbye would count as one.
        """
        self._ends_bodies()
        super().cancel_active_requests()

    def cancel_all_unacked_requests(self) -> None:
        """What Celery 5.5 calls the same."""
        self._ends_bodies()
        super().cancel_all_unacked_requests()

    def _ends_bodies(self) -> None:
        lease = getattr(self.app, "lease", None)
        if lease is not None:
            lease.reconciler.ending = True

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A message with a task that is not registered here; a run's go to the ledger, others are Celery's.

        Celery stores a failure, which would be that of the run whose id a stranger's message has.
        """
        lease = getattr(self.app, "lease", None)
        run_id = message.headers.get("id") or message.payload["id"]
        if lease is None or not (is_doorbell(message) or self._task_of(run_id)):
            super().on_unknown_task(body, message, exc)
            return
        lease.reconciler.tell(Report(run_id, "unknown", str(exc)))
        message.ack_log_error(log, self.connection_errors)

    def _task_of(self, run_id: str) -> str:
        """The task of a run; empty where there is no such run."""
        ledger = self.app.ledger
        try:
            return str(ledger.store.read("hget", ledger.row_key(run_id), "task") or "")
        except LedgerUnavailable as error:
            raise LostConnectionError(str(error)) from error
