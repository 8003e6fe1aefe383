"""A chord that cannot go on for now: Celery would fail it, and here it is left to upkeep.

Celery's Redis backend counts a chord's parts, claims the chord for whoever counted the last, and sends its body. When
the body cannot be sent it fails the chord and drops its count, be the cause a ledger that is full, a Redis that is
away, or a soft time limit that came while it counted. These pass: the count stays, the claim is given back, and the
links of the last part are due again. Where a chord does fail, all that waits for it hears of it, in a chord around it
too.

Celery before 5.7 drops the parts with the size: they are kept aside too. It counts a part twice that is told again with
another result: what it was counted with is taken out first. And it has no claim: a guarded body is one run by its
frozen id, one that is not guarded may be sent twice after such a wait.

Limit: it knows Celery's ways of counting by the names of `celery.backends.redis`; `tests/integration/test_links.py`
and `test_canvas.py` notice when they change. A chord whose last part is not guarded fails as Celery's do: it has no
row that could be told again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery.backends.redis import RedisBackend
from celery.result import GroupResult
from celery.utils.log import get_logger
from redis.exceptions import RedisError

from celery_anp.canvas import errbacks, links, signatures
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import RunEnded

log = get_logger(__name__)

#: What may pass: the chord goes on when its last part is told again.
PASSING = (*links.PASSING, SoftTimeLimitExceeded)
#: Whether Celery counts a part once, whatever it is told with: since 5.7.
COUNTS_ONCE = hasattr(RedisBackend, "_chord_part_return_script")
#: Seconds to wait for a Redis that is away before the count is given up, and between two tries.
PATIENCE = 60.0
PAUSE = 0.5
#: Seconds that a size is kept aside where chords have no end of their own.
KEPT = 30 * 86400
#: The end of the key of a size that is kept aside, beside Celery's own; the same behind the key of the parts.
KEPT_ASIDE = ".anp"
#: Celery's own: size, count of added parts, parts.
OWN = (".s", ".t", ".j")
#: The end of the key of a set: the parts that bodies have added.
ADDED = ".anp-added"

#: KEYS: that set, and Celery's count of added parts. ARGV: a part's id, and seconds that the set lives.
ADD = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('INCR', KEYS[2])
"""

#: KEYS: Celery's claim; then three of Celery's own and the same kept aside. ARGV: seconds that they live, and 1 to give
#: back the claim too. Does nothing to a chord that is done.
RESTORE = """
local size, claim = redis.call('GET', KEYS[5]), redis.call('GET', KEYS[1])
if not size or claim == 'done' then return 0 end
if claim and ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end
for own = 2, 4 do
  if redis.call('EXISTS', KEYS[own]) == 0 and redis.call('COPY', KEYS[own + 3], KEYS[own]) == 1 then
    redis.call('EXPIRE', KEYS[own], ARGV[1])
  end
end
return 1
"""

#: KEYS: three of Celery's own, and the same kept aside. ARGV: seconds that they live.
KEEP = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for own = 1, 3 do
  if redis.call('COPY', KEYS[own], KEYS[own + 3], 'REPLACE') == 1 then redis.call('EXPIRE', KEYS[own + 3], ARGV[1]) end
end
return 1
"""


@dataclass
class Counting:
    """A part that is being counted here: its group, and the error that was being handled when it began."""

    group: str
    before: BaseException | None = field(default_factory=lambda: sys.exc_info()[1])


COUNTING: ContextVar[Counting | None] = ContextVar("counting", default=None)


class ChordWaits(BaseException):
    """Not an Exception: Celery's handlers, which would fail the chord, must let it through.

    Args:
        cause: why it cannot go on.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class PatientChords:
    """Mixed into the app's result backend."""

    app: Any
    client: Any
    decode: Callable[[Any], Any]
    _chord_zset: bool
    get_key_for_group: Callable[[str, str], Any]

    def on_chord_part_return(self, request: Any, state: str, result: Any, *args: Any, **kw: Any) -> Any:
        """Count a part that ended.

        Raises:
            LedgerUnavailable, LedgerFull, OperationalError, RedisError: the chord goes on when this part is told again.
        """
        told_again = isinstance(self, RedisBackend) and isinstance(
            self.app.tasks.get(getattr(request, "task", None)), DeclaredTask
        )
        if told_again and request.chord:
            request.chord = links.separate_body(self.app, request.chord)
            if not COUNTS_ONCE and getattr(request, "anp_attempt", None) is None:
                self._uncount(request)
        counting = COUNTING.set(Counting(request.group) if told_again else None)
        try:
            return super().on_chord_part_return(request, state, result, *args, **kw)  # type: ignore[misc]
        except ChordWaits as waits:
            log.warning("the chord of %s waits: %s", request.id, waits.cause)
            patiently(partial(self.restore_size, request.group, unclaim=True))
            raise waits.cause from None
        finally:
            COUNTING.reset(counting)

    def chord_error_from_stack(self, callback: Any, exc: BaseException | None = None) -> Any:
        """Fail a chord, unless what happened passes."""
        cause, counting = sys.exc_info()[1], COUNTING.get()
        if counting is None:
            return super().chord_error_from_stack(callback, exc)  # type: ignore[misc]
        try:
            if cause is not None and _passes(cause) and not self._has_failed(counting.group):
                raise cause
            # Celery 5.5 cannot store the failure of a chain that has no id.
            callback.options["task_id"] = callback.id or signatures.derived(f"{counting.group}/body")
            if "link_error" in callback.options:
                callback.options["link_error"] = errbacks.alone(self.app, callback)
            failed = super().chord_error_from_stack(callback, exc)  # type: ignore[misc]
            # Celery tells no chord around this one, nor the tasks inside of the links that follow its body.
            why = exc or RunEnded(f"a chord failed: {cause!r}")
            links.fail(self.app, self.app.ledger, callback, why, stored=callback.id)
            if not COUNTS_ONCE:  # before 5.7 not what is chained to its body either
                links.fail_chain(self.app, self.app.ledger, callback.options.get("chain"), why)
            self.client.delete(*self._aside(counting.group))
        except PASSING as error:
            raise self._waits(counting.group, error) from None
        else:
            return failed

    def _call_task_errbacks(self, request: Any, exc: Any, traceback: Any) -> None:
        """Call or send errbacks: each has an id, so that sending it twice is one run."""
        named = enumerate(request.errbacks or ())
        request.errbacks = [signatures.frozen(self.app, errback, f"{request.id}/{number}") for number, errback in named]
        try:
            errbacks.call(self.app, request, exc, traceback)
        except SystemExit as error:
            raise RunEnded(f"An errback of {request.id} asked its process to exit: {error!r}") from error
        except PASSING as error:
            counting = COUNTING.get()
            if counting is None:
                raise
            raise self._waits(counting.group, error) from None

    def _chord_publish_claim_expires(self, initial_expires: int, callback: Any) -> int:
        """Seconds of the claim while the body is sent. A guarded one is planned once, whoever sends it: the claim of a
        child that died need not outlive every try of its publish."""
        if isinstance(self.app.tasks.get(callback.task), DeclaredTask):
            return initial_expires
        return int(super()._chord_publish_claim_expires(initial_expires, callback))  # type: ignore[misc]

    @property
    def _chord_cleanup_script(self) -> Callable[..., Any]:
        """Celery's own, which it calls whether the body was sent or not."""
        clean = super()._chord_cleanup_script  # type: ignore[misc]
        counting, error = COUNTING.get(), sys.exc_info()[1]
        waits = counting and error is not counting.before and (isinstance(error, ChordWaits) or _passes(error))
        return lambda **call: True if waits else clean(**call)

    def restore_size(self, group: str, *, unclaim: bool = False) -> None:
        """Give back the size of a chord that waits.

        Args:
            group: the chord's.
            unclaim: give back the claim too: who held it is not sending any more.
        """
        keys = [self.get_key_for_group(group, ".c"), *self._own(group), *self._aside(group)]
        self.client.eval(RESTORE, len(keys), *keys, self._kept, int(unclaim))

    def add_to_chord(self, group_id: str, result: Any) -> Any:
        """Count a part that a body adds; one that it adds again in another attempt is counted already."""
        if not isinstance(self, RedisBackend):
            return super().add_to_chord(group_id, result)  # type: ignore[misc]
        keys = [self.get_key_for_group(group_id, end) for end in (ADDED, ".t")]
        return self.client.eval(ADD, len(keys), *keys, result.id, self._kept)

    def _waits(self, group: str, cause: BaseException) -> ChordWaits:
        """Celery drops the size when it fails a chord: keep it aside, for us or whoever comes after us."""
        keys = [*self._own(group), *self._aside(group)]
        patiently(partial(self.client.eval, KEEP, len(keys), *keys, self._kept))
        return ChordWaits(cause)

    def _uncount(self, request: Any) -> None:
        """Take out a part that is told again by somebody else than the child that ran it."""
        parts = self.get_key_for_group(request.group, ".j")
        counted = self.client.zrange(parts, 0, -1) if self._chord_zset else ()
        if known := [part for part in counted if self.decode(part)[1] == request.id]:
            self.client.zrem(parts, *known)

    def _own(self, group: str) -> list[Any]:
        return [self.get_key_for_group(group, end) for end in OWN]

    def _aside(self, group: str) -> list[Any]:
        return [self.get_key_for_group(group, end) for end in (KEPT_ASIDE, *(KEPT_ASIDE + end for end in OWN[1:]))]

    @property
    def _kept(self) -> int:
        """Seconds that a chord lives; Celery before 5.7 has no setting of its own for it."""
        return int(getattr(self, "chord_expires", None) or KEPT)

    def _has_failed(self, group: str) -> bool:
        """Whether a part failed: a chord of chains and groups meets the error of its part as its own."""
        results = GroupResult.restore(group, app=self.app)
        return results is not None and results.failed()


def _passes(error: BaseException | None) -> bool:
    return isinstance(error, SoftTimeLimitExceeded) or links.passes(error)


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask Redis until it answers.

    Raises:
        RedisError: it did not for a minute.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except RedisError:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)
