"""The worker's consumer, where Celery would drop what the ledger has to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from celery_anp.node.reconcile import Report
from celery_anp.seams.unacked import is_doorbell, keep_doorbells_out

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
    """Parks a run whose task it does not know instead of failing it, and takes `READONLY` for a lost connection.

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
        """The connection that messages come through; kombu keeps no record of our doorbells on it."""
        connection = super().connection_for_read(heartbeat)
        keep_doorbells_out(connection)
        return connection

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """What is done with a message that comes."""
        handle = super().create_task_handler(*args, **options)

        def on_message(message: Any) -> Any:
            self.heard += 1
            if self._is_doubled(message):
                return message.ack_log_error(log, self.connection_errors)
            return handle(message)

        return on_message

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
        """A message with a task that is not registered here; ours go to the ledger, others are Celery's."""
        lease = getattr(self.app, "lease", None)
        if not is_doorbell(message) or lease is None:
            super().on_unknown_task(body, message, exc)
            return
        lease.reconciler.tell(Report(message.headers["id"], "unknown", str(exc)))
        message.ack_log_error(log, self.connection_errors)
