"""One try of a run, as its body sees it: its fence, its steps, its undo entries.

Limit: a process that was stopped past its lease wakes up inside its effect; only the fence in the effect's own store
refuses it. Everything that goes through here is refused by the ledger. While Redis is away it waits, until the lease is
over: a shorter outage changes no outcome.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, ParamSpec, TypeVar

from celery_anp.clock import boottime
from celery_anp.errors import BadResult, BadUsage, LedgerUnavailable, LimitExceeded
from celery_anp.reliability.ledger import Ledger
from celery_anp.wording import cut, words

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between two tries while Redis is away.
PAUSE = 0.2
#: The largest number that is a progress.
FURTHEST = 10.0**15
#: Bytes of a name.
LONGEST = 1000
#: Bytes of what was given, in an error.
SHOWN = 200


@dataclass(slots=True)
class Attempt:
    """An attempt that this process holds.

    Args:
        ledger: where it is recorded.
        run_id: the run.
        node: the node that began it.
        fence: its fence: larger than that of every earlier attempt.
        number: which attempt of the run it is, from 1.
        failures: failed attempts before it.
        kind: the body, or the rollback hook.
        undo_limit: bytes that its undo entries may take together.
        entry_limit: bytes that one of them may take.
    """

    ledger: Ledger
    run_id: str
    node: str
    fence: int
    number: int
    failures: int
    kind: Literal["run", "rollback"]
    undo_limit: int
    entry_limit: int
    settled: bool = False
    #: Its end is not ours to tell any more: the run was taken over, or the ledger did not hear it.
    left: bool = False
    #: Who tells Celery's backend of its end: settle has, its child does or has, or upkeep does.
    told_by: Literal["settle", "child", "child, done", "upkeep"] = "settle"
    #: What follows in its canvas, as its row knows it; empty where nothing does.
    links: Mapping[str, Any] = field(default_factory=dict)
    #: Its body has stored a state of its own in Celery's result.
    stored: bool = False
    #: How often it has added a part to its chord.
    added: int = 0
    _steps: dict[str, str] | None = field(default=None)
    _given: set[str] = field(default_factory=set)
    #: Numbers its undo entries, so that one is kept once however often it is sent.
    _entries: Iterator[int] = field(default_factory=lambda: count(1))

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do a step once per run; later attempts get its stored result.

        Args:
            name: the step's name, unique in the body.
            function: what it does; its result must be JSON.
            *args: its arguments.
            **kwargs: its arguments by name.

        Returns:
            The result, as JSON gives it back.

        Raises:
            LostOwnership: the attempt does not own the run any more.
            BadResult: the result is not JSON.
            BadUsage: this body had the step's result before, or the name is no text; the function is not called.
        """
        _check_name(name, "step")
        if name in self._given:
            raise BadUsage(
                f"Step {name!r} has been done in this body",
                expected="a name of its own for each step, such as one with the number of a round",
            )
        if self._steps is None:
            self._steps = self.ask(self.ledger.steps, self.run_id) if self.number > 1 else {}
        if name not in self._steps:
            value = function(*args, **kwargs)
            try:
                text = json.dumps(value)
            except Exception as error:  # also of a value's own
                raise BadResult(
                    f"The result of step {name!r} cannot be kept", expected="JSON values", given=words(error, SHOWN)
                ) from None
            self.record("step", name, text)
            self._steps[name] = text
        self._given.add(name)
        return json.loads(self._steps[name])

    def undo(self, name: str, data: dict[str, Any]) -> None:
        """Record how to undo an effect, before the effect.

        Args:
            name: what the rollback hook knows it by.
            data: what the hook needs; JSON.

        Raises:
            LostOwnership: the attempt does not own the run any more.
            LimitExceeded: the entry, or all entries of the attempt, are too large; the effect must not happen.
            BadUsage: the name is no text; the effect must not happen.
        """
        _check_name(name, "undo entry")
        try:
            text = json.dumps({"name": name, "data": data, "attempt": self.number, "entry": next(self._entries)})
        except Exception as error:  # also of a value's own
            raise LimitExceeded(
                f"Undo entry {name!r} cannot be kept", expected="JSON values", given=words(error, SHOWN)
            ) from None
        if len(text) > self.entry_limit:
            raise LimitExceeded(
                f"Undo entry {name!r} is too large",
                expected=f"at most {self.entry_limit} bytes; record it in parts",
                given=f"{len(text)} bytes",
            )
        if self.record("undo", self.undo_limit, text) == "full":
            raise LimitExceeded(
                f"The undo entries of {self.run_id} are full, so {name!r} was not recorded: leave its effect",
                expected=f"at most {self.undo_limit} bytes for an attempt; do less in one run, or undo it another way",
            )

    def progress(self, done: float, total: float) -> None:
        """Tell how far the run is.

        Raises:
            LostOwnership: the attempt does not own the run any more.
            BadUsage: one of the two is no finite number.
        """
        for number in (done, total):
            if not isinstance(number, (int, float)) or not -FURTHEST <= number <= FURTHEST:
                given = f"{words(done, SHOWN)} of {words(total, SHOWN)}"
                raise BadUsage("This progress cannot be told", expected="two numbers, done and total", given=given)
        self.record("progress", done, total)

    @property
    def cancelled(self) -> bool:
        """Whether someone asked this run to end early. A rollback is what then follows, and does not end early."""
        return self.kind == "run" and bool(self.ask(self.ledger.cancel_mark, self.run_id))

    def record(self, what: str, *values: str | float) -> str:
        """Record something of this attempt; see `Ledger.record`."""
        return self.ask(self.ledger.record, self.run_id, self.node, self.fence, what, *values)

    def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the ledger; while Redis is away, again and again until the lease is over.

        Args:
            question: a method of the ledger that may be asked twice.
            *args: its arguments.
            **kwargs: its arguments by name.

        Returns:
            The ledger's answer.

        Raises:
            LedgerUnavailable: Redis refused us, or was away until the lease was over.
        """
        until = boottime() + self.ledger.lease / 1000
        told = False
        while True:
            try:
                return question(*args, **kwargs)
            except LedgerUnavailable as error:
                if not error.retry_safe or boottime() > until:
                    raise
                if not told:
                    log.warning("%s asks the ledger again until its lease is over: %s", self.run_id, error)
                told = True
                time.sleep(PAUSE)


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or cut(name, LONGEST) != name:
        raise BadUsage(
            f"The name of a {what} cannot be used",
            expected=f"a text of at most {LONGEST} bytes",
            given=words(name, SHOWN),
        )
