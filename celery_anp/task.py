"""`ReliableTask`: the life of a run, one visible sequence.

    begin -> check the input -> the body -> check the result -> settle (execution/settlement.py)
                                  | failed -> decide: again, or settle as failed -> rollback hook

The ledger decides at begin whether there is anything to do, and at settle whether this attempt may still say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn
from uuid import uuid4

from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_task_logger
from kombu.utils import json

from celery_anp.canvas import links
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadInput, BadUsage, LedgerUnavailable, LostOwnership, Refused
from celery_anp.execution import children, identity
from celery_anp.execution.settlement import Settlement
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.records import Begun
from celery_anp.reliability.rollback import UndoLog
from celery_anp.security import UNDO_ENTRY_LIMIT
from celery_anp.sending import publisher
from celery_anp.sending.call import seconds_until
from celery_anp.sending.draft import draft
from celery_anp.sending.message import LINKS, STAMP, built, read_back, written

log = get_task_logger(__name__)


class ReliableTask(DeclaredTask):
    """A guarded task: `@app.task(...)` of a guarded app makes one. See `DeclaredTask` for its options."""

    abstract = True
    Request = "celery_anp.seams.request:RunRequest"

    def replace(self, sig: Any) -> Any:
        """Celery would give the replacement this run's id, which has its row already.

        Raises:
            BadUsage: in a run; outside of one Celery's own holds.
        """
        if self.attempt is None:
            return super().replace(sig)
        raise BadUsage(
            f"{self.run_id} cannot be replaced by {sig}: its id has this run's row",
            expected="a chain, or a call of the other task from the body",
            given="self.replace",
        )

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Celery's own; a part has the same id in each attempt, and is counted once."""
        if self.attempt is not None:
            self.attempt.added += 1
            sig.set(task_id=links.derived(f"{self.run_id}/added/{self.attempt.added}"))
        return super().add_to_chord(sig, lazy)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's tracer calls this in the worker's child; anyone else gets the plain body."""
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        if self.request.is_eager or self.attempt:
            return self.run(*args, **kwargs)
        attempt, args, kwargs = self._begin(args, kwargs)
        attempt.links = links.links_of(self.request)
        self.request.attempt = attempt
        ends = Settlement(self, attempt)
        if attempt.kind == "rollback":
            self._roll_back(ends, args, kwargs)
        checked = self._check_stored(ends, args, kwargs)
        try:
            value = self._body(*checked.args, **checked.values)
            result = self.contract.check_result(value)
            as_expected = bool(self.confirm(value)) if self.confirm else True
        except Retry as retry:
            ends.retry(retry)
        except Reject as reject:
            ends.reject(reject)
        except Ignore as ignored:
            ends.ignore(ignored)
        except LostOwnership as lost:
            ends.late(lost)
        except Exception as error:
            ends.fail(error)
        ends.succeed(result, as_expected=as_expected)
        return result

    def _body(self, *args: Any, **kwargs: Any) -> Any:
        """What is called once the run has begun; a class with a `__call__` of its own has another one."""
        return self.run(*args, **kwargs)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Attempt, tuple[Any, ...], dict[str, Any]]:
        request = self.request
        token = uuid4().hex
        try:
            begun = self._ask_to_begin(request.id, token)
            if begun == "gone" and not getattr(request, STAMP, None):
                self._adopt(request, args, kwargs)
                begun = self._ask_to_begin(request.id, token)
        except LedgerUnavailable as error:
            log.warning("%s did not begin, upkeep will ring it again: %s", request.id, error)
            raise Ignore("the ledger did not answer") from None
        if not isinstance(begun, Begun):
            log.info("%s has nothing to do: it is %s", request.id, begun)
            raise Ignore(f"the run is {begun}")
        if begun.message:
            args, kwargs = read_back(begun.message).body[:2]
            request.args, request.kwargs = args, kwargs
        request.retries = begun.failures
        children.says(begun.fence)
        attempt = Attempt(
            self.ledger, request.id, identity.current(), begun.fence, begun.attempt, begun.failures, begun.kind,
            self.undo_limit, UNDO_ENTRY_LIMIT,
        )  # fmt: skip
        return attempt, tuple(args), dict(kwargs)

    def _ask_to_begin(self, run_id: str, token: str) -> Begun | str:
        return self.ledger.begin(run_id, identity.current(), children.child(), token)

    def _adopt(self, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A message from a producer that does not know the ledger: its row is planned on receipt."""
        checked = self.contract.check(args, kwargs)
        message, queue, priority = built(self, request.id, checked)
        message.headers.update({name: getattr(request, name, None) for name in publisher.FAMILY})
        links.name_own(self.app, request)
        embed = {name: getattr(request, name, None) for name in LINKS}
        message = message._replace(body=(checked.args, checked.kwargs, embed))
        by_kombu = not self.app.amqp.sends_itself(queue)
        text = written(message, queue, priority, by_kombu=by_kombu, held=True)
        self.ledger.plan([draft(self, request.id, checked, text)])

    def _check_stored(self, ends: Settlement, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Checked:
        """The input was checked when it was enqueued: if it does not fit now, the task has changed since."""
        try:
            return self.contract.check(args, kwargs)
        except BadInput as error:
            ends.park(error)
        except Exception as error:  # a validator's own
            ends.fail(error)

    def _roll_back(self, ends: Settlement, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        undo = UndoLog(ends.attempt, ends.attempt.ask(self.ledger.undo_entries, ends.attempt.run_id))
        count = len(undo)
        try:
            values = self.contract.check(args, kwargs)
            self._hook_of()(undo, *values.args, **values.values)
        except LostOwnership as lost:
            ends.late(lost)
        except Exception as error:
            ends.rollback_failed(undo, error)
        if left := len(undo):
            unhandled = Refused(f"the hook left {left} undo entries unhandled", retry_safe=True)
            ends.rollback_failed(undo, unhandled)
        ends.rolled_back(count)

    def _hook_of(self) -> Callable[..., Any]:
        hook = self._hook
        return (lambda *a, **k: hook(self, *a, **k)) if hook else self.rollback

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
        again.delay = seconds_until(pause, eta)
        if args is not None or kwargs is not None:
            again.changed = self._changed(self.attempt, args, kwargs)
        if throw:
            raise again
        return again

    def _changed(self, attempt: Attempt, args: Any, kwargs: Any) -> str:
        row = self.ledger.row_key(attempt.run_id)
        message = read_back(attempt.ask(self.ledger.store.read, "hget", row, "message"))
        replaced = self.contract.named[: len(args or ())]
        kept = kwargs is None or self.contract.typed  # there every field has its name
        inherited = {name: value for name, value in self.request.kwargs.items() if kept and name not in replaced}
        checked = self.contract.check(self.request.args if args is None else args, {**inherited, **(kwargs or {})})
        return message.with_body([list(checked.args), checked.kwargs, message.body[2]]).text(json.dumps)
