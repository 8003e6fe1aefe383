"""`ReliableTask`: the life of a run, one visible sequence.

    begin -> check the input -> the body -> check the result -> settle (execution/settlement.py)
                                  | failed -> decide: again, or settle as failed -> rollback hook

The ledger decides at begin whether there is anything to do, and at settle whether this attempt may still say so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn
from uuid import uuid4

from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_task_logger
from kombu.utils import json

from celery_anp.canvas import links, replacing, signatures
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadInput, BadRequest, LedgerUnavailable, LostOwnership, Refused
from celery_anp.execution import children, delivered, foreign, identity
from celery_anp.execution.children import is_ending
from celery_anp.execution.record import is_ignored, is_kept_as_json
from celery_anp.execution.settlement import Settlement
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.records import Begun
from celery_anp.reliability.rollback import UndoLog
from celery_anp.reliability.run import moment
from celery_anp.security import UNDO_ENTRY_LIMIT
from celery_anp.sending.call import seconds_until
from celery_anp.sending.message import PLAIN, STAMP, check_size, read_back
from celery_anp.wording import words

log = get_task_logger(__name__)


class ReliableTask(DeclaredTask):
    """A guarded task: `@app.task(...)` of a guarded app makes one. See `DeclaredTask` for its options."""

    abstract = True
    Request = "celery_anp.seams.request:RunRequest"
    _before_start: ClassVar[Callable[..., None] | None] = None

    @classmethod
    def start_with_body(cls) -> None:
        """Its `before_start` is the body's first step: Celery calls it before the run begins, when it cannot end."""
        if cls.before_start is not Task.before_start:
            cls._before_start, cls.before_start = cls.before_start, Task.before_start

    def on_replace(self, sig: Any) -> Any:
        """The end of `replace`: the run goes on as the replacement, which Celery has made ready.

        Raises:
            Replaced: always, in a run; outside of one Celery's own holds.
            BadUsage: the run has undo entries that only this task knows.
        """
        if self.anp_attempt is None:
            return super().on_replace(sig)
        raise replacing.checked(self, self.anp_attempt, sig)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Celery's own; a part has the same id in each attempt, and is counted once."""
        if self.anp_attempt is not None:
            self.anp_attempt.added += 1
            sig.set(task_id=signatures.derived(f"{self.run_id}/added/{self.anp_attempt.added}"))
        return super().add_to_chord(sig, lazy)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Celery's tracer calls this in the worker's child; anyone else gets the plain body."""
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        if self.request.is_eager or self.anp_attempt:
            if not self.anp_attempt:
                self._start(args, kwargs)
            return self.run(*args, **kwargs)
        begun = self._begin(args, kwargs)
        attempt = self._attempt(begun)
        ends = Settlement(self, attempt)
        try:
            return self._perform(ends, begun, args, kwargs)
        except BaseException as error:
            if attempt.settled or attempt.left or is_ending(error):
                raise
            ends.plainly(error)

    def _perform(self, ends: Settlement, begun: Begun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An attempt from its input to its settled end; what leaves here is what Celery shall see."""
        args, kwargs = self._stored(begun, args, kwargs)
        ends.attempt.links = links.links_of(self.request)
        self.request.anp_attempt = ends.attempt
        if begun.kind == "rollback":
            self._roll_back(ends, args, kwargs)
        self._tell_started()
        checked = self._check_stored(ends, args, kwargs)
        try:
            self._start(args, kwargs)
            value = self._body(*checked.args, **checked.values)
            result = self.contract.check_result(value, as_json=is_kept_as_json(self))
            as_expected = bool(self.confirm(value)) if self.confirm else True
        except Retry as retry:
            ends.retry(retry)
        except Reject as reject:
            ends.reject(reject)
        except replacing.Replaced as replaced:
            ends.go_on_as(replaced.signature)
        except Ignore as ignored:
            ends.ignore(ignored)
        except LostOwnership as lost:
            ends.late(lost)
        except BaseException as error:
            if is_ending(error):
                raise
            ends.fail(error)
        ends.succeed(result, as_expected=as_expected)
        return result

    def _body(self, *args: Any, **kwargs: Any) -> Any:
        """What is called once the run has begun; a class with a `__call__` of its own has another one."""
        return self.run(*args, **kwargs)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Begun:
        request = self.request
        token = uuid4().hex
        try:
            begun = self._ask_to_begin(request.id, token)
            if begun == "gone" and (not getattr(request, STAMP, None) or getattr(request, PLAIN, None)):
                foreign.adopt(self, args, kwargs)
                begun = self._ask_to_begin(request.id, token)
        except BadRequest:
            raise  # no upkeep would make it better
        except LedgerUnavailable as error:
            log.warning("%s did not begin, upkeep will ring it again: %s", request.id, error)
            raise Ignore("the ledger did not answer") from None
        if not isinstance(begun, Begun):
            log.info("%s has nothing to do: it is %s", request.id, begun)
            raise Ignore(f"the run is {begun}")
        return begun

    def _attempt(self, begun: Begun) -> Attempt:
        children.says(begun.fence)
        return Attempt(
            self.ledger, self.request.id, identity.current(), begun.fence, begun.attempt, begun.failures, begun.kind,
            self.undo_limit, UNDO_ENTRY_LIMIT,
        )  # fmt: skip

    def _stored(
        self, begun: Begun, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The input of the attempt: that of its message, unless its row has another."""
        if begun.message:
            args, kwargs = delivered.replaced(self.request, read_back(begun.message))
        self.request.retries = begun.failures
        self.request.eta, self.request.expires = map(_told, (begun.due, begun.deadline))
        if begun.attempt > begun.failures + 1:  # one was lost, or put back
            self.request.delivery_info = {**(self.request.delivery_info or {}), "redelivered": True}
        return tuple(args), dict(kwargs)

    def _ask_to_begin(self, run_id: str, token: str) -> Begun | str:
        seal, used = delivered.shown(self)
        return self.ledger.begin(run_id, identity.current(), children.child(), token, seal, used)

    def _tell_started(self) -> None:
        """What Celery stores where `track_started` asks for it."""
        request = self.request
        if self.track_started and not is_ignored(self):
            about = {"pid": os.getpid(), "hostname": request.hostname}
            try:
                self.backend.store_result(request.id, about, "STARTED", request=request)
            except Exception as error:  # whoever waits for it waits for its end
                log.warning("that %s has started is not stored: %s", request.id, words(error, 500))

    def _check_stored(self, ends: Settlement, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Checked:
        """The input was checked when it was enqueued: if it does not fit now, the task has changed since."""
        try:
            return self.contract.check(args, kwargs)
        except BadInput as error:
            ends.park(error)
        except BaseException as error:  # a validator's own
            if is_ending(error):
                raise
            ends.fail(error)

    def _roll_back(self, ends: Settlement, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        undo = UndoLog(ends.attempt, ends.attempt.ask(self.ledger.undo_entries, ends.attempt.run_id))
        count = len(undo)
        try:
            values = self.contract.check(args, kwargs)
            self._start(args, kwargs)
            self._hook_of()(undo, *values.args, **values.values)
        except LostOwnership as lost:
            ends.late(lost)
        except BaseException as error:
            if is_ending(error):
                raise
            ends.rollback_failed(undo, error)
        if left := len(undo):
            unhandled = Refused(f"the hook left {left} undo entries unhandled", retry_safe=True)
            ends.rollback_failed(undo, unhandled)
        ends.rolled_back(count)

    def _start(self, args: Any, kwargs: Any) -> None:
        if self._before_start is not None:
            self._before_start(self.request.id, args, kwargs)

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
            BadUsage: `countdown` or `eta` is no time within a century.
            BadInput, LimitExceeded: the changed input does not fit.
        """
        if not self.anp_attempt:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        most = self.max_retries if max_retries is None else max_retries
        if most is not None and self.anp_attempt.failures >= most:
            raise exc or self.MaxRetriesExceededError(f"{self.run_id} was retried {most} times")
        pause = self.default_retry_delay if countdown is None and eta is None else countdown
        delay = seconds_until(pause, eta)
        again = Retry(exc=exc, when=eta or pause)
        again.delay = delay
        if args is not None or kwargs is not None:
            again.changed = self._changed(self.anp_attempt, args, kwargs)
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
        changed = message.with_body([list(checked.args), checked.kwargs, message.body[2]])
        check_size(self.name, len(json.dumps(changed.headers)) + len(json.dumps(changed.body)))
        return changed.text(json.dumps)


def _told(time: int) -> str | None:
    """A time of the ledger (ms) as Celery's requests have one; None for none."""
    found = moment(time)
    return found.isoformat() if found else None
