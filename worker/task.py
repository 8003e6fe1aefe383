"""`ReliableTask`: the life of a run, one visible sequence.

    begin -> check the input -> the body -> check the result -> settle
                                  | failed -> decide: again, or settle as failed -> rollback hook

The ledger decides at begin whether there is anything to do, and at settle whether this attempt may still say so.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import uuid4

from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_task_logger
from kombu.utils import json

from worker import doorbell, enqueue, node, pool, publisher
from worker.contract import Checked
from worker.declaration import DeclaredTask
from worker.errors import AnpError, BadInput, LedgerUnavailable, LimitExceeded, LostOwnership, Refused
from worker.redaction import cleared, hide, secrets_of
from worker.reliability.attempt import Attempt
from worker.reliability.records import Begun, Outcome, Ring
from worker.reliability.retry import Again, decide
from worker.reliability.rollback import ROLLBACK_RETRIES, UndoLog
from worker.security import ERROR_LIMIT, RESULT_LIMIT, UNDO_ENTRY_LIMIT

log = get_task_logger(__name__)


class ReliableTask(DeclaredTask):
    """A guarded task: `@app.task(...)` of a guarded app makes one. See `DeclaredTask` for its options."""

    abstract = True
    Request = "worker.request:RunRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's tracer calls this in the worker's child; anyone else gets the plain body."""
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        if self.request.is_eager or self.attempt:
            return self.run(*args, **kwargs)
        attempt, args, kwargs = self._begin(args, kwargs)
        self.request.attempt = attempt
        if attempt.kind == "rollback":
            return self._roll_back(attempt, args, kwargs)
        checked = self._check_stored(attempt, args, kwargs)
        try:
            value = self.run(*checked.args, **checked.values)
            result = self.contract.check_result(value)
            expected = self._confirmed(value)
        except Retry as retry:
            self._settle_retry(attempt, retry)
        except Reject as reject:
            self._settle_reject(attempt, reject)
        except Ignore as ignored:
            self._settle(attempt, "succeeded", reason=f"ignored: {ignored}", as_expected=1)
            raise
        except LostOwnership as lost:
            self._late(lost)
        except Exception as error:
            self._settle_failure(attempt, error)
        else:
            self._settle_success(attempt, result, expected)
            return result

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Attempt, tuple[Any, ...], dict[str, Any]]:
        request = self.request
        token = uuid4().hex
        try:
            begun = self._ask_to_begin(request.id, token)
            if begun == "gone" and not getattr(request, doorbell.STAMP, None):
                self._adopt(request, args, kwargs)
                begun = self._ask_to_begin(request.id, token)
        except LedgerUnavailable as error:
            log.warning("%s did not begin, upkeep will ring it again: %s", request.id, error)
            raise Ignore("the ledger did not answer") from None
        if not isinstance(begun, Begun):
            log.info("%s has nothing to do: it is %s", request.id, begun)
            raise Ignore(f"the run is {begun}")
        if begun.message:
            args, kwargs = json.loads(begun.message)["body"][:2]
            request.args, request.kwargs = args, kwargs
        request.retries = begun.failures
        pool.says(begun.fence)
        attempt = Attempt(
            self.ledger, request.id, node.current(), begun.fence, begun.attempt, begun.failures, begun.kind,
            self.undo_limit, UNDO_ENTRY_LIMIT,
        )  # fmt: skip
        return attempt, tuple(args), dict(kwargs)

    def _ask_to_begin(self, run_id: str, token: str) -> Begun | str:
        begun, rung = self.ledger.begin(run_id, node.current(), pool.child(), token)
        if rung:
            publisher.try_ring(self.app, rung)
        return begun

    def _adopt(self, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A message from a producer that does not know the ledger: its row is planned on receipt."""
        checked = self.contract.check(args, kwargs)
        message, queue, priority = publisher.message_for(self, request.id, checked)
        message.headers.update({name: getattr(request, name, None) for name in publisher.FAMILY})
        links = {name: getattr(request, name, None) for name in publisher.LINKS}
        message = message._replace(body=(checked.args, checked.kwargs, links))
        drafted = enqueue.draft(self, checked, {"task_id": request.id})
        self.ledger.plan([publisher.complete(drafted.new, message, queue, priority)])

    def _check_stored(self, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Checked:
        """The input was checked when it was enqueued: if it does not fit now, the task has changed since."""
        try:
            return self.contract.check(args, kwargs)
        except BadInput as error:
            self._settle(
                attempt,
                "parked",
                reason=f"its stored input no longer fits: {error}"[:500],
                error=self._described(error),
            )
            raise Ignore(str(error)) from None

    def _confirmed(self, value: Any) -> int:
        return int(bool(self.confirm(value))) if self.confirm else 1

    def _settle_success(self, attempt: Attempt, result: Any, expected: int) -> None:
        text = json.dumps(result)
        if len(text) > RESULT_LIMIT:
            error = LimitExceeded(
                f"The result of {attempt.run_id} is too large",
                expected=f"at most {RESULT_LIMIT} bytes",
                given=f"{len(text)} bytes",
            )
            self._settle_failure(attempt, error)
        reason = "" if expected else f"not as expected: {self.expects}"
        self._settle(
            attempt,
            "succeeded",
            reason=reason,
            result=text,
            as_expected=expected,
            meta=self._meta(result, "SUCCESS"),
        )

    def _settle_failure(self, attempt: Attempt, error: Exception) -> NoReturn:
        hide(error, secrets_of(self))
        again = decide(self.retries, error, attempt.failures)
        if isinstance(again, Again):
            self._settle_again(attempt, error, again.delay, again.reason)
            raise Retry(again.reason, error, when=again.delay) from error
        self._settle(
            attempt, "failed", reason=f"{again.reason}: {error}"[:500], error=self._described(error), as_expected=0,
            meta=self._meta(error, "FAILURE", error),
        )  # fmt: skip
        raise error

    def _settle_retry(self, attempt: Attempt, retry: Retry) -> NoReturn:
        error = retry.exc or retry
        hide(error, secrets_of(self))
        self._settle_again(
            attempt, error, getattr(retry, "delay", 0.0), f"retry asked for: {retry.message or retry.excs or ''}",
            message=getattr(retry, "changed", None),
        )  # fmt: skip
        raise retry

    def _settle_again(
        self, attempt: Attempt, error: BaseException, delay: float, reason: str, message: str | None = None
    ) -> None:
        data = {"message": message} if message else {}
        self._settle(
            attempt, "retry", reason=reason[:500], error=self._described(error), delay=int(max(0.0, delay) * 1000),
            meta=self._meta(error, "RETRY", error), **data,
        )  # fmt: skip

    def _settle_reject(self, attempt: Attempt, reject: Reject) -> NoReturn:
        if reject.requeue:
            self._settle(attempt, "requeue", reason=f"rejected and put back: {reject.reason or ''}")
            raise Ignore("put back") from None
        failure = reject.reason if isinstance(reject.reason, Exception) else AnpError(f"Rejected: {reject.reason}")
        hide(failure, secrets_of(self))
        self._settle(
            attempt, "failed", reason=f"rejected: {reject.reason}"[:500], error=self._described(failure), as_expected=0,
            meta=self._meta(failure, "FAILURE", failure),
        )  # fmt: skip
        raise reject

    def _settle(self, attempt: Attempt, outcome: Outcome, **data: Any) -> str:
        kept = {name: value for name, value in data.items() if value not in (None, "")}
        if "reason" in kept:
            kept["reason"] = cleared(kept["reason"], values=secrets_of(self))
        try:
            state, rung = self._ask_to_settle(attempt, outcome, kept)
        except LostOwnership as lost:
            self._late(lost)
        except LedgerUnavailable as error:
            pool.says(0)
            log.error("%s ended but could not settle; its node's lease decides: %s", attempt.run_id, error)
            raise Ignore("the ledger did not answer") from None
        pool.says(0)
        attempt.settled = self.app.results_in_ledger
        publisher.try_ring(self.app, rung)
        return state

    def _ask_to_settle(self, attempt: Attempt, outcome: Outcome, data: dict[str, Any]) -> tuple[str, Ring]:
        """Settle; while Redis is away, keep trying until the lease is over."""
        until = node.boottime() + self.ledger.lease / 1000
        while True:
            try:
                return self.ledger.settle(attempt.run_id, attempt.node, attempt.fence, outcome, **data)
            except LedgerUnavailable as error:
                if not error.retry_safe or node.boottime() > until:
                    raise
                time.sleep(0.2)

    def _late(self, lost: LostOwnership) -> NoReturn:
        pool.says(0)
        log.error("%s", lost)
        raise Ignore(str(lost)) from None

    def _roll_back(self, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        undo = UndoLog(attempt, self.ledger.undo_entries(attempt.run_id))
        count = len(undo)
        try:
            values = self.contract.check(args, kwargs)
            self._hook_of()(undo, *values.args, **values.values)
        except LostOwnership as lost:
            self._late(lost)
        except Exception as error:
            self._rollback_failed(attempt, undo, error)
        if left := len(undo):
            unhandled = Refused(f"the hook left {left} undo entries unhandled", retry_safe=True)
            self._rollback_failed(attempt, undo, unhandled)
        self._settle(attempt, "rolled_back", reason=f"{count} undo entries handled")
        raise Ignore("rolled back")

    def _hook_of(self) -> Callable[..., Any]:
        hook = self._hook
        return (lambda *a, **k: hook(self, *a, **k)) if hook else self.rollback

    def _rollback_failed(self, attempt: Attempt, undo: UndoLog, error: Exception) -> NoReturn:
        hide(error, secrets_of(self))
        log.exception("the rollback of %s failed", attempt.run_id)
        try:
            undo.failed(error)
        except LostOwnership as lost:
            self._late(lost)
        again = decide(ROLLBACK_RETRIES, error, attempt.failures)
        if isinstance(again, Again):
            self._settle(
                attempt,
                "rollback_retry",
                reason=f"its rollback failed: {error}"[:500],
                delay=int(again.delay * 1000),
            )
        else:
            self._settle(attempt, "rollback_failed", reason=f"{again.reason}: {error}"[:500])
        raise Ignore("the rollback failed")

    def _described(self, error: BaseException) -> str:
        """An error as the ledger keeps it."""
        values = secrets_of(self)
        return json.dumps({
            "type": type(error).__name__, "message": cleared(str(error)[:ERROR_LIMIT], values=values),
            "traceback": cleared(_trace(error), values=values), "retry_safe": getattr(error, "retry_safe", None),
        })  # fmt: skip

    def _meta(self, result: Any, status: str, error: BaseException | None = None) -> str:
        """Celery's own record of the result, as its backend would store it."""
        if not self.meta_key(self.request.id) or self.request.ignore_result:
            return ""
        backend = self.backend
        trace = cleared(_trace(error), values=secrets_of(self)) if error else None
        stored = backend.encode_result(result, status) if error else result
        meta = backend._get_result_meta(result=stored, state=status, traceback=trace, request=self.request)
        meta["task_id"] = self.request.id
        encoded = backend.encode(meta)
        return encoded.decode() if isinstance(encoded, bytes) else str(encoded)

    def retry(
        self, args: Any = None, kwargs: Any = None, exc: BaseException | None = None, throw: bool = True,
        eta: Any = None, countdown: float | None = None, max_retries: int | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Celery's `retry`, as a row that waits: nothing is published.

        Raises:
            Retry: the run is tried again; or `exc`, or `MaxRetriesExceededError` when it was tried often enough.
        """
        if not self.attempt:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        most = self.max_retries if max_retries is None else max_retries
        if most is not None and self.attempt.failures >= most:
            raise exc or self.MaxRetriesExceededError(f"{self.run_id} was retried {most} times")
        pause = self.default_retry_delay if countdown is None and eta is None else countdown
        again = Retry(exc=exc, when=eta or pause)
        again.delay = enqueue.seconds_until(pause, eta)
        if args is not None or kwargs is not None:
            again.changed = self._changed(args, kwargs)
        if throw:
            raise again
        return again

    def _changed(self, args: Any, kwargs: Any) -> str:
        row = json.loads(self.ledger.store.read("hget", self.ledger.store.key(f"run:{self.run_id}"), "message"))
        replaced = self.contract.named[: len(args or ())]
        inherited = {name: value for name, value in self.request.kwargs.items() if name not in replaced}
        checked = self.contract.check(self.request.args if args is None else args, {**inherited, **(kwargs or {})})
        row["body"][:2] = [list(checked.args), checked.kwargs]
        return json.dumps(row)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-ERROR_LIMIT:]
