"""A chord that cannot go on for now: Celery would fail it, and here it is left to upkeep.

Celery's Redis backend counts a chord's parts, claims the chord for whoever counted the last, and sends its body. When
the body cannot be sent it fails the chord and drops its count, be the cause a ledger that is full or a Redis that is
away. These pass: the count stays, the claim is given back, and the links of the last part are due again.

Limit: it knows Celery's ways of counting by the names of `celery.backends.redis`; `tests/integration/test_links.py`
notices when they change.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from celery.backends.redis import RedisBackend
from celery.result import GroupResult
from celery.utils.log import get_logger
from redis.exceptions import RedisError

from worker.links import PASSING
from worker.task import ReliableTask

log = get_logger(__name__)

#: Seconds to wait for a Redis that is away before the count is given up, and between two tries.
PATIENCE = 60.0
PAUSE = 0.5
#: The group whose part is being counted here.
COUNTING: ContextVar[str | None] = ContextVar("counting", default=None)


class ChordWaits(BaseException):
    """Not an Exception: Celery's handlers, which would fail the chord, must let it through.

    Args:
        cause: why it cannot go on.
        size: how many parts it has, as Celery keeps it; None when nothing is kept.
    """

    def __init__(self, cause: BaseException, size: Any) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.size = size


class PatientChords:
    """Mixed into the app's result backend."""

    app: Any

    def on_chord_part_return(self, request: Any, state: str, result: Any, *args: Any, **kw: Any) -> Any:
        """Count a part that ended.

        Raises:
            LedgerUnavailable, LedgerFull, OperationalError, RedisError: the chord goes on when this part is told again.
        """
        counting = COUNTING.set(request.group if isinstance(self, RedisBackend) else None)
        try:
            return super().on_chord_part_return(request, state, result, *args, **kw)  # type: ignore[misc]
        except ChordWaits as waits:
            log.warning("the chord of %s waits: %s", request.id, waits.cause)
            self._keep(request.group, waits.size)
            raise waits.cause from None
        finally:
            COUNTING.reset(counting)

    def chord_error_from_stack(self, callback: Any, exc: BaseException | None = None) -> Any:
        """Fail a chord, unless what happened passes."""
        cause, group = sys.exc_info()[1], COUNTING.get()
        if group is None:
            return super().chord_error_from_stack(callback, exc)  # type: ignore[misc]
        try:
            if isinstance(cause, PASSING) and not self._has_failed(group):
                raise cause
            return super().chord_error_from_stack(callback, exc)  # type: ignore[misc]
        except PASSING as error:
            key = self.get_key_for_group(group, ".s")  # type: ignore[attr-defined]
            raise ChordWaits(error, patiently(partial(self.client.get, key))) from None  # type: ignore[attr-defined]

    def _chord_publish_claim_expires(self, initial_expires: int, callback: Any) -> int:
        """Seconds of the claim while the body is sent. A guarded one is planned once, whoever sends it: the claim of a
        child that died need not outlive every try of its publish."""
        if isinstance(self.app.tasks.get(callback.task), ReliableTask):
            return initial_expires
        return int(super()._chord_publish_claim_expires(initial_expires, callback))  # type: ignore[misc]

    @property
    def _chord_cleanup_script(self) -> Callable[..., Any]:
        """Celery's own, which it calls whether the body was sent or not."""
        clean = super()._chord_cleanup_script  # type: ignore[misc]
        return lambda **call: True if isinstance(sys.exc_info()[1], ChordWaits) else clean(**call)

    def _has_failed(self, group: str) -> bool:
        """Whether a part failed: a chord of chains and groups meets the error of its part as its own."""
        results = GroupResult.restore(group, app=self.app)
        return results is not None and results.failed()

    def _keep(self, group: str, size: Any) -> None:
        """Give back the count, which Celery drops last; that gives back the claim too."""
        if size is not None:
            patiently(partial(self.set_chord_size, group, int(size)))  # type: ignore[attr-defined]


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
