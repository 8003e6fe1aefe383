"""Canvases that a test module begins at once, and what they left to be looked at."""

from __future__ import annotations

from typing import Any

from tests.support.severed import heard, mark, passes
from tests.support.stack import Stack


class Started:
    """What the tests look at.

    Args:
        stack: with its worker.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.path = str(stack.journal)
        self.results: dict[str, Any] = {}

    def dies(self, name: str, where: str, **more: Any) -> dict[str, Any]:
        """The input of a task that is cut off."""
        return {"dies": mark(self.stack.folder, name, where), **more}

    def passing(self, name: str) -> Any:
        """A callback."""
        return passes.s(name=name, path=self.path)

    def hearing(self, name: str) -> Any:
        """An errback that is a run."""
        return heard.s(name=name, path=self.path)

    def told(self, name: str) -> int:
        """How many callbacks and errbacks of a name ran."""
        return sum(len(self.stack.lines(event, name=name)) for event in ("passed", "heard", "told"))

    def quiet(self) -> bool:
        """Whether every link is confirmed and every run has ended, with nothing left to be cut off.

        Raises:
            AssertionError: not yet; says what is left.
        """
        store = self.stack.ledger.store
        left = [*store.client.zrange(store.key("links"), 0, -1), *self.stack.folder.glob("*.confirming")]
        left += [f"{run.run_id} is {run.state}" for run in self.stack.ledger.runs(1000) if not run.final]
        assert not left, left
        return True
