"""One try of a run, as its body sees it: its fence, its steps, its undo entries.

Limit: a process that was stopped past its lease wakes up inside its effect; only the fence in the effect's own store
refuses it. Everything that goes through here is refused by the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.errors import BadResult, BadUsage, LimitExceeded
from worker.reliability.ledger import Ledger


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
        undo_limit: bytes that all undo entries of the run may take.
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
    _steps: dict[str, str] | None = field(default=None)
    _given: set[str] = field(default_factory=set)

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
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
            BadUsage: this body had the step's result before; the function is not called.
        """
        if name in self._given:
            raise BadUsage(
                f"Step {name!r} has been done in this body",
                expected="a name of its own for each step, such as one with the number of a round",
            )
        if self._steps is None:
            self._steps = self.ledger.steps(self.run_id) if self.number > 1 else {}
        if name not in self._steps:
            value = function(*args, **kwargs)
            try:
                text = json.dumps(value)
            except (TypeError, ValueError) as error:
                raise BadResult(
                    f"The result of step {name!r} cannot be kept", expected="JSON values", given=str(error)
                ) from None
            self._record("step", name, text)
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
            LimitExceeded: the entry, or all entries of the run, are too large; the effect must not happen.
        """
        try:
            text = json.dumps({"name": name, "data": data, "attempt": self.number})
        except (TypeError, ValueError) as error:
            raise LimitExceeded(
                f"Undo entry {name!r} cannot be kept", expected="JSON values", given=str(error)
            ) from None
        if len(text) > self.entry_limit:
            raise LimitExceeded(
                f"Undo entry {name!r} is too large",
                expected=f"at most {self.entry_limit} bytes; record it in parts",
                given=f"{len(text)} bytes",
            )
        if self._record("undo", self.undo_limit, text) == "full":
            raise LimitExceeded(
                f"The undo entries of {self.run_id} are full, so {name!r} was not recorded: leave its effect",
                expected=f"at most {self.undo_limit} bytes for a run; do less in one run, or undo it another way",
            )

    def progress(self, done: int, total: int) -> None:
        """Tell how far the run is.

        Raises:
            LostOwnership: the attempt does not own the run any more.
        """
        self._record("progress", done, total)

    @property
    def cancelled(self) -> bool:
        """Whether someone asked this run to end early. A rollback is what then follows, and does not end early."""
        return self.kind == "run" and bool(self.ledger.cancel_mark(self.run_id))

    def _record(self, what: str, *values: str | int) -> str:
        return self.ledger.record(self.run_id, self.node, self.fence, what, *values)
