"""Celery's results beside the ledger: settle stores them, so Celery's own store is left out.

This holds where the result backend is the ledger's Redis. Anywhere else the child stores the result as Celery does,
after settle. What neither has stored, because the run ended without its body, its child died just then, or the backend
did not answer, upkeep has the backend store (`ends`): so `.get()` returns wherever results are.

Limit: a result too large for its row is lost with a child that dies between settle and that store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.states import FAILURE, STARTED
from celery.utils.log import get_logger

from celery_anp.canvas import claims, links, replacing
from celery_anp.canvas.chords import PatientChords
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.reliability.attempt import Attempt
from celery_anp.security import ERROR_LIMIT
from celery_anp.wording import cut, end_of, shown, words

log = get_logger(__name__)


class LedgerResults:
    """Mixed into the app's result backend."""

    app: Any
    encode: Callable[[Any], Any]
    encode_result: Callable[[Any, str], Any]

    def on_task_call(self, producer: Any, task_id: str) -> Any:
        """A run is enqueued: nothing to listen to yet. `.get()` subscribes and then looks, so it misses nothing."""
        if not self.app.results_in_ledger:
            return super().on_task_call(producer, task_id)  # type: ignore[misc]
        return None

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kw: Any
    ) -> Any:
        """Store a result, unless settle has done it in the same script that ended the run.

        Celery says that a task has started before the ledger was asked: the run may have ended long ago.
        """
        attempt = attempt_of(request)
        if state == STARTED and attempt is None and self._is_guarded(request):
            return result
        if attempt is not None and not attempt.settled:
            attempt.stored = attempt.stored or (task_id == attempt.run_id and state != STARTED)
        if attempt is not None and attempt.settled:
            return self._store_end(attempt, task_id, result, state, traceback=traceback, request=request, **kw)
        return self._store(task_id, result, state, traceback=traceback, request=request, **kw)

    def _store_end(self, attempt: Attempt, task_id: str, result: Any, state: str, **kw: Any) -> Any:
        """The end of a settled run, where its child is to store it; upkeep does where that fails."""
        if attempt.told_by != "child":
            return result
        try:
            result = self._store(task_id, result, state, **kw)
            attempt.told_by = "child, done"
        except Exception as error:
            log.warning("the result of %s is left to upkeep: %s", task_id, words(error, ERROR_LIMIT))
            attempt.told_by = "upkeep"
        return result

    def _store(self, task_id: str, result: Any, state: str, traceback: Any, request: Any, **kw: Any) -> Any:
        attempt = attempt_of(request)
        if isinstance(result, BaseException) and state == FAILURE and (attempt is None or attempt.run_id != task_id):
            replacing.give_up(self.app.ledger, task_id, result)
        if isinstance(result, BaseException) and self._is_guarded(request):
            result, traceback = self.limited(result, state), traceback and end_of(str(traceback), ERROR_LIMIT)
        return super().store_result(task_id, result, state, traceback=traceback, request=request, **kw)  # type: ignore[misc]

    def on_chord_part_return(self, request: Any, state: str, result: Any, *args: Any, **kw: Any) -> Any:
        """Count a part that ended; of its error no more is kept than its row keeps."""
        if isinstance(result, BaseException) and self._is_guarded(request):
            result = self.limited(result, state)
        return super().on_chord_part_return(request, state, result, *args, **kw)  # type: ignore[misc]

    def limited(self, error: BaseException, state: str) -> Any:
        """An error as it is stored for `.get()`: what it is rebuilt from keeps the limit of an error in the ledger."""
        encoded = self.encode_result(error, state)
        if isinstance(encoded, dict):
            encoded["exc_message"] = self._within_limit(encoded["exc_message"])
        return encoded

    def _is_guarded(self, request: Any) -> bool:
        return isinstance(self.app.tasks.get(getattr(request, "task", None)), DeclaredTask)

    def _within_limit(self, arguments: Any) -> Any:
        """What an exception is rebuilt from; texts are cut, and what is still too large becomes one text."""
        if not isinstance(arguments, (tuple, list)):
            return cut(str(arguments), ERROR_LIMIT)
        kept = [cut(one, ERROR_LIMIT) if isinstance(one, str) else one for one in arguments]
        size = sum(len(self.encode(one)) for one in kept)
        return kept if size <= ERROR_LIMIT else [shown(kept[0] if len(kept) == 1 else kept, ERROR_LIMIT)]

    def mark_as_done(self, task_id: str, result: Any, request: Any = None, *args: Any, **kw: Any) -> None:
        """The chord part and the callbacks are sent: confirm them."""
        super().mark_as_done(task_id, result, request, *args, **kw)  # type: ignore[misc]
        self._confirm(request)

    def mark_as_failure(self, task_id: str, exc: BaseException, *args: Any, **kw: Any) -> None:
        """The errbacks are sent: confirm them. What Celery could not send after a success is sent link by link.

        An error here would make Celery's main process fail the run once more: what passes is left to upkeep.
        """
        request: Any = kw.get("request")
        attempt = attempt_of(request)
        if attempt is None or not attempt.settled:
            super().mark_as_failure(task_id, exc, *args, **kw)  # type: ignore[misc]
        elif attempt.told_by != "upkeep":
            self._mark_settled(attempt, task_id, exc, *args, **kw)

    def _mark_settled(self, attempt: Attempt, task_id: str, exc: BaseException, *args: Any, **kw: Any) -> None:
        request: Any = kw["request"]
        try:
            if attempt.links and self._went_on(attempt):
                return
            if attempt.links:
                links.fail_chain(self.app, attempt.ledger, request.chain, exc)
                request.chain = None  # Celery would end only the first of each of its links
            super().mark_as_failure(task_id, exc, *args, **kw)  # type: ignore[misc]
            self._confirm(request)
        except links.PASSING as error:
            log.warning("what follows %s is left to upkeep: %s", attempt.run_id, error)

    def _went_on(self, attempt: Attempt) -> bool:
        """Send the links of a run that succeeded, and store its result where no script can."""
        run = attempt.ledger.find(attempt.run_id)
        if run is None or run.state != "succeeded":
            return False
        links.send(self.app, attempt.ledger, attempt.run_id)
        return True

    def _confirm(self, request: Any) -> None:
        attempt = attempt_of(request)
        if attempt is None or not attempt.settled or attempt.told_by in ("child", "upkeep"):
            return
        if attempt.links or attempt.told_by == "child, done":
            attempt.ledger.links_done(attempt.run_id)

    def process_cleanup(self) -> None:
        """An attempt is over, and with it what it sends."""
        claims.end()
        super().process_cleanup()  # type: ignore[misc]


def attempt_of(request: Any) -> Attempt | None:
    """The attempt that a request is, or None."""
    found = getattr(request, "anp_attempt", None)
    return found if isinstance(found, Attempt) else None  # a message may have a header of that name


def with_ledger(backend: type) -> type:
    """A result backend class that leaves the storing to settle."""
    return type(f"Ledger{backend.__name__}", (LedgerResults, PatientChords, backend), {})
