"""How an attempt ends: what is told the ledger, and what Celery's tracer is told then.

Every ending is one settle. The ledger may refuse it, because the run was taken over meanwhile; then this attempt was
late, and nothing of it counts. Where a settlement itself fails, `plainly` settles with a sentence that says so. Celery
gets plain exceptions of its own: a body's may be of a class that its main process cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from celery.canvas import Signature
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from kombu.utils import json

from celery_anp.canvas import claims, links, replacing
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import (
    AnpError,
    BadInput,
    BadRequest,
    BadResult,
    BadUsage,
    LedgerUnavailable,
    LostOwnership,
    RunEnded,
)
from celery_anp.execution import children, record
from celery_anp.redaction import cleared, hide, secrets_of
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.records import Outcome
from celery_anp.reliability.retry import PUT_BACK, Again, decide
from celery_anp.reliability.rollback import ROLLBACK_RETRIES, UndoLog
from celery_anp.sending.call import seconds_until
from celery_anp.sending.message import LINKS, check_size, read_back, seal
from celery_anp.wording import cut, name_of, words

log = get_task_logger(__name__)

#: Bytes of an error that go into a reason.
REASON = 500


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one attempt. Each method settles once; most then raise what Celery shall see.

    Args:
        task: whose attempt it is; its request is the current one.
        attempt: the attempt.
    """

    task: DeclaredTask
    attempt: Attempt

    def succeed(self, result: Any, *, as_expected: bool) -> None:
        """The body is done, with a checked result."""
        try:
            following = self._following()
            meta = record.succeeded(self.task, result, following)
            text, whole = record.of_row(result)
        except (AnpError, SoftTimeLimitExceeded) as error:
            self.fail(error)
        except Exception as error:  # a value's own, or a result backend's
            self.fail(BadResult(f"The result of {self.attempt.run_id} cannot be kept", given=words(error, REASON)))
        reason = "" if as_expected else f"not as expected: {self.task.expects}"
        told: dict[str, Any] = {
            "reason": reason,
            "result": text,
            "partial": None if whole else 1,
            "as_expected": int(as_expected),
        }
        self._settle("succeeded", following=following, meta=meta, **told)

    def ignore(self, ignored: Ignore) -> NoReturn:
        """The body asked that nothing be made of it: as Celery does, nothing that is linked or chained to it runs.

        A state that the body has stored itself stays what Celery says of the run.
        """
        chord = self.task.request.chord
        following = {**dict.fromkeys(LINKS), "chord": chord} if chord else {}
        said = words(ignored, REASON)
        stored = record.stored(self.task) if self.attempt.stored else None
        told = {"told": None if stored is None else 1, "meta": stored}
        self._settle("succeeded", following=following, silent=True, reason=f"ignored: {said}", as_expected=1, **told)
        raise Ignore(said) from None

    def go_on_as(self, replacement: Signature) -> NoReturn:
        """The body put something in its place: the run waits to go on as that, and it is sent."""
        run_id, app = self.attempt.run_id, self.task.app
        try:
            text = json.dumps(replacement)
            check_size(self.task.name, len(text))
        except Exception as error:  # also of a value's own
            self.fail(error)
        said = f"replaced by {words(replacement, REASON)}"
        self._settle(
            "replaced", reason=said, replacement=text, apart=replacing.begins_apart(app, run_id, replacement) or None,
        )  # fmt: skip
        try:
            links.send(app, self.task.ledger, run_id)
        except Exception as error:
            log.warning("%s: what it was replaced by is left to upkeep: %s", run_id, error)
        raise Ignore(said) from None

    def fail(self, error: BaseException) -> NoReturn:
        """The body raised: it is tried again where its retries say so."""
        hide(error, secrets_of(self.task))
        again = decide(self.task.retries, error, self.attempt.failures)
        told = record.tellable(error)
        if isinstance(again, Again):
            self._try_again(error, again.delay, again.reason)
            raise Retry(again.reason, told, when=again.delay) from error
        self._fail_for_good(f"{again.reason}: {words(told, REASON)}", error)
        if told is error:
            raise error
        raise told from error

    def retry(self, retry: Retry) -> NoReturn:
        """The body asked to be tried again."""
        cause = retry.exc if isinstance(retry.exc, BaseException) else None
        error = retry if cause is None else cause
        hide(error, secrets_of(self.task))
        delay = getattr(retry, "delay", None)
        if delay is None:  # not by `self.retry`, which sees to it that a run is not retried for ever
            delay = self._asked_by_hand(retry)
        said = "" if retry.message is None else words(retry.message, REASON)
        reason = f"retry asked for: {said or words(retry.excs or '', REASON)}"
        told = Retry(said or None, None if cause is None else record.tellable(cause), when=delay)
        self._try_again(error, delay, reason, getattr(retry, "changed", None))
        raise told from None

    def _asked_by_hand(self, retry: Retry) -> float:
        most = self.task.max_retries
        if most is not None and self.attempt.failures >= most:
            self.fail(self.task.MaxRetriesExceededError(f"{self.attempt.run_id} was retried {most} times"))
        try:
            return seconds_until(None, retry.when)
        except BadUsage as error:
            self.fail(error)

    def reject(self, reject: Reject) -> NoReturn:
        """The body rejected its message: put back, or failed."""
        said = "" if reject.reason is None else words(reject.reason, REASON)
        if reject.requeue:
            said = self._put_back(said)
        failure = reject.reason if isinstance(reject.reason, BaseException) else AnpError(f"Rejected: {said}")
        hide(failure, secrets_of(self.task))
        self._fail_for_good(f"rejected: {said}", failure)
        raise Reject(said) from None

    def _put_back(self, said: str) -> str:
        """The run waits, longer each time, and is delivered again; returns why not, once it was too often."""
        attempt, ledger = self.attempt, self.task.ledger
        before = int(attempt.ask(ledger.store.read, "hget", ledger.row_key(attempt.run_id), "requeues") or 0)
        again = decide(PUT_BACK, Reject(), before)
        if isinstance(again, Again):
            self._settle("requeue", reason=f"rejected and put back: {said}", delay=int(again.delay * 1000))
            raise Ignore("put back") from None
        return f"put back {before} times: {said}"

    def park(self, error: BadInput) -> NoReturn:
        """The stored input fits the task no more."""
        said = words(error, REASON)
        reason = f"its stored input no longer fits: {said}"
        self._settle("parked", reason=reason, error=record.described(self.task, error))
        raise Ignore(said) from None

    def rolled_back(self, count: int) -> NoReturn:
        """The rollback hook handled all entries."""
        self._settle("rolled_back", reason=f"{count} undo entries handled")
        raise Ignore("rolled back")

    def rollback_failed(self, undo: UndoLog, error: BaseException) -> NoReturn:
        """The rollback hook raised: it is tried again, or waits for a person."""
        hide(error, secrets_of(self.task))
        log.error("the rollback of %s failed: %s", self.attempt.run_id, record.told_trace(self.task, error))
        try:
            undo.failed(error)
        except LostOwnership as lost:
            self.late(lost)
        except BadRequest as refused:
            log.error("%s: what became of its undo entry could not be told: %s", self.attempt.run_id, refused)
        except LedgerUnavailable as away:
            self._leave(away)
        again = decide(ROLLBACK_RETRIES, error, self.attempt.failures)
        said = words(record.tellable(error), REASON)
        if isinstance(again, Again):
            self._settle("rollback_retry", reason=f"its rollback failed: {said}", delay=int(again.delay * 1000))
        else:
            self._settle("rollback_failed", reason=f"{again.reason}: {said}")
        raise Ignore("the rollback failed") from None

    def plainly(self, error: BaseException) -> NoReturn:
        """What was to tell how the attempt ended has failed itself: tell at least that, and end the run."""
        said = f"how it ended could not be told: {name_of(error)}: {words(error, REASON)}"
        log.error("%s: %s", self.attempt.run_id, record.told_trace(self.task, error))
        failure = RunEnded(said)
        try:
            if self.attempt.kind == "rollback":
                self._settle("rollback_failed", reason=said)
            else:
                self._settle("failed", reason=said, error=record.described(self.task, failure), as_expected=0)
        except BadRequest as refused:
            self._leave(refused)
        raise failure from error

    def late(self, lost: LostOwnership) -> NoReturn:
        """The run was taken over: whatever this attempt has to say is refused."""
        children.says(0)
        self.attempt.left = True
        log.error("%s", lost)
        raise Ignore(str(lost)) from None

    def _leave(self, error: LedgerUnavailable) -> NoReturn:
        """The ledger did not hear how the attempt ended: its node finds an idle child, or is dead itself."""
        children.says(0)
        self.attempt.left = True
        log.error("%s ended but could not settle; its node's lease decides: %s", self.attempt.run_id, error)
        raise Ignore("the ledger did not answer") from None

    def _fail_for_good(self, reason: str, error: BaseException) -> None:
        self._settle(
            "failed", reason=cut(reason, REASON), error=record.described(self.task, error), as_expected=0,
            meta=record.failed(self.task, error),
        )  # fmt: skip

    def _try_again(self, error: BaseException, delay: float, reason: str, changed: str | None = None) -> None:
        self._settle(
            "retry", reason=cut(reason, REASON), error=record.described(self.task, error),
            delay=int(max(0.0, delay) * 1000), meta=record.failed(self.task, error, "RETRY"), message=changed,
            seal=seal(changed or ""),
        )  # fmt: skip

    def _settle(
        self, outcome: Outcome, *, following: dict[str, Any] | None = None, silent: bool = False, **data: Any
    ) -> None:
        kept = {name: value for name, value in data.items() if value not in (None, "", b"")}
        if outcome in ("succeeded", "failed") and not silent and self._by_backend and not self._in_ledger:
            kept["child_tells"] = 1
        if "reason" in kept:
            kept["reason"] = cleared(kept["reason"], values=secrets_of(self.task))
        try:
            if following is not None and following != self.attempt.links:
                kept |= self._relinked(following)
            self._ask(outcome, kept)
        except LostOwnership as lost:
            self.late(lost)
        except BadRequest:
            raise  # Redis is not away: `plainly` says it in other words
        except LedgerUnavailable as error:
            self._leave(error)
        children.says(0)
        self.attempt.settled = True
        self.attempt.told_by = self._told_by(outcome, made="meta" in kept)
        if following is not None:
            self.attempt.links = following
        if outcome == "replaced" or (self.attempt.links and outcome in ("succeeded", "failed")):
            claims.begin(self.task.app, self.attempt.run_id)

    @property
    def _by_backend(self) -> bool:
        return bool(self.task.app.results_by_backend) and not record.is_ignored(self.task)

    @property
    def _in_ledger(self) -> bool:
        return bool(self.task.app.results_in_ledger)

    def _told_by(self, outcome: Outcome, *, made: bool) -> Literal["settle", "child", "upkeep"]:
        """Who tells Celery's backend of this end. A run that was cancelled meanwhile has another one."""
        attempt, task = self.attempt, self.task
        if outcome == "failed" and record.is_ignored(task) and task.store_errors_even_if_ignored:
            return "child"
        if not self._by_backend:
            return "settle"
        if outcome in ("failed", "retry") and attempt.ask(task.ledger.cancel_mark, attempt.run_id):
            return "upkeep"
        if not self._in_ledger:
            return "child"
        return "settle" if made else "upkeep"

    def _ask(self, outcome: Outcome, data: dict[str, Any]) -> str:
        """Settle; the soft time limit is the body's, and the body has ended."""
        attempt, settle = self.attempt, self.task.ledger.settle
        while True:
            try:
                return attempt.ask(settle, attempt.run_id, attempt.node, attempt.fence, outcome, **data)
            except SoftTimeLimitExceeded:
                log.warning("%s has ended already: its soft time limit comes too late", attempt.run_id)

    def _following(self) -> dict[str, Any]:
        """What follows after the body; what it put there itself has no id yet."""
        request = self.task.request
        if links.links_of(request) != self.attempt.links:
            links.name_own(self.task.app, request)
        return links.links_of(request)

    def _relinked(self, following: dict[str, Any]) -> dict[str, Any]:
        """The body changed what follows it, which its row must know."""
        attempt, store = self.attempt, self.task.ledger.store
        message = read_back(attempt.ask(store.read, "hget", self.task.ledger.row_key(attempt.run_id), "message"))
        args, kwargs, embed = message.body
        embed = {**embed, **{name: following.get(name) for name in LINKS}}
        text = message.with_body([args, kwargs, embed]).text(json.dumps)
        return {"message": text, "seal": seal(text), "linked": int(bool(following))}
