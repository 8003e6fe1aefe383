"""How an attempt ends: what is told the ledger, and what Celery's tracer is told then.

Every ending is one settle. The ledger may refuse it, because the run was taken over meanwhile; then this attempt was
late, and nothing of it counts.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from kombu.utils import json

from celery_anp.canvas import claims, links
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import AnpError, BadInput, LedgerUnavailable, LimitExceeded, LostOwnership
from celery_anp.execution import children
from celery_anp.redaction import cleared, hide, secrets_of
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.records import Outcome
from celery_anp.reliability.retry import Again, decide
from celery_anp.reliability.rollback import ROLLBACK_RETRIES, UndoLog
from celery_anp.security import ERROR_LIMIT, RESULT_LIMIT
from celery_anp.sending.message import LINKS, read_back, seal

log = get_task_logger(__name__)

#: Characters of an error that go into a reason.
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
        text = json.dumps(result)
        if len(text) > RESULT_LIMIT:
            error = LimitExceeded(
                f"The result of {self.attempt.run_id} is too large",
                expected=f"at most {RESULT_LIMIT} bytes",
                given=f"{len(text)} bytes",
            )
            self.fail(error)
        reason = "" if as_expected else f"not as expected: {self.task.expects}"
        following = self._following()
        meta = self._meta(result, "SUCCESS", following=following)
        told = {"reason": reason, "result": text, "as_expected": int(as_expected), "meta": meta}
        self._settle("succeeded", following=following, **told)

    def ignore(self, ignored: Ignore) -> NoReturn:
        """The body asked that nothing be made of it: as Celery does, nothing that is linked or chained to it runs."""
        chord = self.task.request.chord
        following = {**dict.fromkeys(LINKS), "chord": chord} if chord else {}
        self._settle("succeeded", following=following, reason=f"ignored: {ignored}", as_expected=1)
        raise ignored

    def fail(self, error: Exception) -> NoReturn:
        """The body raised: it is tried again where its retries say so."""
        hide(error, secrets_of(self.task))
        again = decide(self.task.retries, error, self.attempt.failures)
        if isinstance(again, Again):
            self._try_again(error, again.delay, again.reason)
            raise Retry(again.reason, error, when=again.delay) from error
        self._fail_for_good(f"{again.reason}: {error}", error)
        raise error

    def retry(self, retry: Retry) -> NoReturn:
        """The body asked to be tried again."""
        error = retry.exc or retry
        hide(error, secrets_of(self.task))
        reason = f"retry asked for: {retry.message or retry.excs or ''}"
        self._try_again(error, getattr(retry, "delay", 0.0), reason, getattr(retry, "changed", None))
        raise retry

    def reject(self, reject: Reject) -> NoReturn:
        """The body rejected its message: put back, or failed."""
        if reject.requeue:
            self._settle("requeue", reason=f"rejected and put back: {reject.reason or ''}")
            raise Ignore("put back") from None
        failure = reject.reason if isinstance(reject.reason, Exception) else AnpError(f"Rejected: {reject.reason}")
        hide(failure, secrets_of(self.task))
        self._fail_for_good(f"rejected: {reject.reason}", failure)
        raise reject

    def park(self, error: BadInput) -> NoReturn:
        """The stored input fits the task no more."""
        reason = f"its stored input no longer fits: {error}"
        self._settle("parked", reason=reason[:REASON], error=self._described(error))
        raise Ignore(str(error)) from None

    def rolled_back(self, count: int) -> NoReturn:
        """The rollback hook handled all entries."""
        self._settle("rolled_back", reason=f"{count} undo entries handled")
        raise Ignore("rolled back")

    def rollback_failed(self, undo: UndoLog, error: Exception) -> NoReturn:
        """The rollback hook raised: it is tried again, or waits for a person."""
        hide(error, secrets_of(self.task))
        log.exception("the rollback of %s failed", self.attempt.run_id)
        try:
            undo.failed(error)
        except LostOwnership as lost:
            self.late(lost)
        except LedgerUnavailable as away:
            self._leave(away)
        again = decide(ROLLBACK_RETRIES, error, self.attempt.failures)
        if isinstance(again, Again):
            reason = f"its rollback failed: {error}"
            self._settle("rollback_retry", reason=reason[:REASON], delay=int(again.delay * 1000))
        else:
            self._settle("rollback_failed", reason=f"{again.reason}: {error}"[:REASON])
        raise Ignore("the rollback failed")

    def late(self, lost: LostOwnership) -> NoReturn:
        """The run was taken over: whatever this attempt has to say is refused."""
        children.says(0)
        log.error("%s", lost)
        raise Ignore(str(lost)) from None

    def _leave(self, error: LedgerUnavailable) -> NoReturn:
        """The ledger did not hear how the attempt ended: its node finds an idle child, or is dead itself."""
        children.says(0)
        log.error("%s ended but could not settle; its node's lease decides: %s", self.attempt.run_id, error)
        raise Ignore("the ledger did not answer") from None

    def _fail_for_good(self, reason: str, error: Exception) -> None:
        self._settle(
            "failed", reason=reason[:REASON], error=self._described(error), as_expected=0,
            meta=self._meta(error, "FAILURE", error),
        )  # fmt: skip

    def _try_again(self, error: BaseException, delay: float, reason: str, changed: str | None = None) -> None:
        self._settle(
            "retry", reason=reason[:REASON], error=self._described(error), delay=int(max(0.0, delay) * 1000),
            meta=self._meta(error, "RETRY", error), message=changed, seal=seal(changed or ""),
        )  # fmt: skip

    def _settle(self, outcome: Outcome, *, following: dict[str, Any] | None = None, **data: Any) -> None:
        kept = {name: value for name, value in data.items() if value not in (None, "")}
        if "reason" in kept:
            kept["reason"] = cleared(kept["reason"], values=secrets_of(self.task))
        try:
            if following is not None and following != self.attempt.links:
                kept |= self._relinked(following)
            self._ask(outcome, kept)
        except LostOwnership as lost:
            self.late(lost)
        except LedgerUnavailable as error:
            self._leave(error)
        children.says(0)
        self.attempt.settled = True
        if following is not None:
            self.attempt.links = following
        if self.attempt.links and outcome in ("succeeded", "failed"):
            claims.begin(self.task.app, self.attempt.run_id)

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

    def _described(self, error: BaseException) -> str:
        """An error as the ledger keeps it."""
        values = secrets_of(self.task)
        return json.dumps({
            "type": type(error).__name__, "message": cleared(str(error)[:ERROR_LIMIT], values=values),
            "traceback": cleared(_trace(error), values=values), "retry_safe": getattr(error, "retry_safe", None),
        })  # fmt: skip

    def _meta(
        self, result: Any, status: str, error: BaseException | None = None, following: dict[str, Any] | None = None
    ) -> str:
        """Celery's own record of the result, as its backend would store it once what follows is sent."""
        task, request = self.task, self.task.request
        if not task.meta_key(request.id) or request.ignore_result:
            return ""
        trace = cleared(_trace(error), values=secrets_of(task)) if error else None
        stored = task.backend.encode_result(result, status) if error else result
        meta = task.backend._get_result_meta(result=stored, state=status, traceback=trace, request=request)
        meta["task_id"] = request.id
        meta["children"] = [*(meta.get("children") or ()), *links.children(task.app, following or {})]
        encoded = task.backend.encode(meta)
        return encoded.decode() if isinstance(encoded, bytes) else str(encoded)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-ERROR_LIMIT:]
