"""What a guarded task declares, what its body may use, and what others read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from celery import Task

from celery_anp.contract.names import check_hook
from celery_anp.contract.signature import Contract
from celery_anp.errors import BadDeclaration
from celery_anp.reliability.attempt import Attempt
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.retry import Retries
from celery_anp.security import UNDO_LIMIT


class DeclaredTask(Task):
    """What a guarded task declares, and what its body may use. The options below come beside Celery's own."""

    abstract = True
    #: Whether its annotations are law; None: as its app says.
    typed: bool | None = None
    #: Who answers for it.
    owner: str = ""
    #: What is true when it has worked.
    expects: str = ""
    #: Why it needs no rollback hook.
    no_rollback: str = ""
    #: What its rollback hook does, in words.
    rollback_note: str = ""
    #: Template of the lock it holds, over its input, e.g. `publish:{site}`.
    lock: str | None = None
    #: What happens while the lock is held by another run.
    overlap: str | None = None
    #: Runs that may wait for the lock with `buffer_all`, which is also how runs by hand wait; the next one is skipped.
    limit: int = 1000
    #: When a failed attempt is tried again.
    retries: Retries = Retries()
    #: Checks a result: was the expected result met?
    confirm: Callable[[Any], bool] | None = None
    #: What its node does with it when the lease is lost: `kill` or `finish`.
    on_lost: str = "kill"
    #: Bytes that the undo entries of one attempt may take together.
    undo_limit: int = UNDO_LIMIT

    _hook: ClassVar[Callable[..., Any] | None] = None

    # -- what a body uses -------------------------------------------------------------------------

    @property
    def anp_attempt(self) -> Attempt | None:
        """The attempt that is running here, or None on a direct call."""
        found = getattr(self.request, "anp_attempt", None)
        return found if isinstance(found, Attempt) else None  # a message may have a header of that name

    @property
    def run_id(self) -> str | None:
        """The run's id, which is also Celery's task id."""
        return self.anp_attempt.run_id if self.anp_attempt else None

    @property
    def fence(self) -> int | None:
        """The attempt's fence, for fenced writes; None on a direct call."""
        return self.anp_attempt.fence if self.anp_attempt else None

    @property
    def cancelled(self) -> bool:
        """Whether someone asked this run to end early."""
        return self.anp_attempt.cancelled if self.anp_attempt else False

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do a step once per run; see `Attempt.step`. A direct call just does it."""
        return self.anp_attempt.step(name, function, *args, **kwargs) if self.anp_attempt else function(*args, **kwargs)

    def undo(self, name: str, /, **data: Any) -> None:
        """Record how to undo an effect, before the effect; see `Attempt.undo`. A direct call records nothing."""
        if self.anp_attempt:
            self.anp_attempt.undo(name, data)

    def progress(self, done: float, total: float) -> None:
        """Tell how far the run is; see `Attempt.progress`."""
        if self.anp_attempt:
            self.anp_attempt.progress(done, total)

    def on_rollback(self, note: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the rollback hook.

        Args:
            note: what it does, in words, for who has to decide about it.

        Returns:
            A decorator for `hook(self, undo, **input)`; `undo` yields the entries in reverse. It raises BadDeclaration
            for a hook that does not take each field of the task.
        """
        if not note.strip():
            raise BadDeclaration(
                f"The rollback hook of {self.name!r} has no note",
                expected="a sentence that says what it does",
            )

        def declare(hook: Callable[..., Any]) -> Callable[..., Any]:
            check_hook(self.name, self.run, hook, own=2)
            type(self)._hook = staticmethod(hook)
            type(self).rollback_note = note
            return hook

        return declare

    # -- what others read -------------------------------------------------------------------------

    @property
    def has_rollback(self) -> bool:
        """Whether there is a hook: declared with `on_rollback`, or a method `rollback`."""
        return self._hook is not None or hasattr(self, "rollback")

    @property
    def rollback_said(self) -> str | None:
        """How it is undone, or why it needs not be; None where neither is said."""
        return self.rollback_note or (f"none: {self.no_rollback}" if self.no_rollback else None)

    @property
    def contract(self) -> Contract:
        """The typed border of this task."""
        own = type(self).__dict__.get("_contract")
        if own is None:
            own = type(self)._contract = Contract(self.name, self.run, typed=typed(self, self.app))
        return own

    @property
    def ledger(self) -> Ledger:
        """The ledger of this task's app."""
        return self.app.ledger

    def validate_input(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check an input and fill in defaults.

        Returns:
            Every field as JSON.

        Raises:
            BadInput: it does not fit.
        """
        self.contract.check_places(args, kwargs or {})
        return self.contract.check(args, kwargs or {}).fields

    def signature_help(self) -> list[tuple[str, str, str]]:
        """Each field of the input as (name, type, default)."""
        return self.contract.help()

    def lock_of(self, fields: dict[str, Any]) -> tuple[str, str | None]:
        """The lock that a run with this input holds (empty for none), and the task's overlap policy."""
        return (self.contract.fill(self.lock, fields) if self.lock else ""), self.overlap

    def meta_key(self, run_id: str) -> str:
        """Celery's result key; empty where results are not on the ledger's Redis."""
        if not self.app.results_in_ledger:
            return ""
        key = self.backend.get_key_for_task(run_id)
        return str(key.decode() if isinstance(key, bytes) else key)


def typed(task: Any, app: Any) -> bool:
    """Whether annotations are law in a task, or in a class of tasks, of an app."""
    said = getattr(task, "typed", None)
    return bool(getattr(app, "typed", False) if said is None else said)
