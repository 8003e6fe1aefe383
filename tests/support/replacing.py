"""Tasks that put something else in their place."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery import Task, chain, chord, group

from celery_anp.execution.settlement import Settlement
from celery_anp.reliability.retry import Retries
from tests.support.journal import Journal
from tests.support.probe import OURS
from worker.app import app


@app.task(name="replacing.add", retries=Retries(max=0), **OURS)
def add(x: int, y: int, path: str = "", fails: bool = False) -> int:
    """A sum, which tells of itself."""
    if path:
        Journal(path).write("added", x=x, y=y)
    if fails:
        raise KeyError("as asked")
    return x + y


@app.task(name="replacing.total", **OURS)
def total(numbers: list[int]) -> int:
    """A chord's body."""
    return sum(numbers)


@app.task(name="replacing.locked", lock="{lock}", **OURS)
def locked(x: int, lock: str) -> int:
    """It holds a lock."""
    return x + 1


@app.task(base=Task, name="replacing.plain")
def plain(x: int) -> int:
    """It is not guarded."""
    return x + 1


@app.task(bind=True, name="replacing.by", retries=Retries(max=0), **OURS)
def by(self: Any, how: str, path: str = "", dies: str = "") -> Any:
    """Puts something in its place, as it is told."""
    if path:
        Journal(path).write("body", how=how, attempt=self.anp_attempt.number)
    return self.replace(REPLACEMENTS[how](path))


@app.task(bind=True, name="replacing.holds", lock="{lock}", **OURS)
def holds(self: Any, lock: str, apart: bool) -> Any:
    """Holds a lock that what it puts in its place wants too."""
    one = locked.s(1, lock=lock)
    return self.replace(one | locked.s(lock=lock) if apart else one)


@app.task(bind=True, name="replacing.counts", **OURS)
def counts(self: Any, down: int) -> Any:
    """Puts itself in its place, so many times; has a hook and undo entries."""
    self.step("once", lambda: down)
    self.undo(f"at {down}")
    if down < 0:
        raise KeyError("as asked")
    return self.replace(counts.s(down - 1)) if down else "done"


@app.task(bind=True, name="replacing.leaves", retries=Retries(max=0), owner="tests", expects="a failure")
def leaves(self: Any, path: str) -> Any:
    """Has undo entries, and would go on as a task that does not know them."""
    self.undo("effect")
    return self.replace(add.s(1, 1))


@leaves.on_rollback("Writes a line.")
def unleave(self: Any, undo: Any, path: str) -> None:
    for entry in undo:
        Journal(path).write("undone", name=entry.name)


REPLACEMENTS: dict[str, Any] = {
    "one": lambda path: add.s(1, 1, path=path),
    "chain": lambda path: chain(add.s(1, 1), add.s(1), add.s(1, path=path)),
    "chord": lambda path: chord([add.s(1, 1), add.s(2, 2)], total.s()),
    "group": lambda path: group(add.s(1, 1), add.s(2, 2)),
    "chain that ends in a group": lambda path: chain(add.s(1, 1), group(add.s(1), add.s(2))),
    "plain": lambda path: plain.s(1),
    "chain to a plain one": lambda path: add.s(1, 1) | plain.s(),
    "one that fails": lambda path: add.s(1, 1, fails=True),
    "chain that fails": lambda path: chain(add.s(1, 1, fails=True), add.s(1)),
    "chord that fails": lambda path: chord([add.s(1, 1, fails=True), add.s(2, 2)], total.s()),
    "bad input": lambda path: add.s("no number", 1),
    "another": lambda path: by.s("chain", path=path),
}

settle = Settlement._settle


def settle_and_end(self: Settlement, outcome: Any, **data: Any) -> None:
    settle(self, outcome, **data)
    mark = (self.task.request.kwargs or {}).get("dies")
    if outcome == "replaced" and mark and Path(mark).exists():
        Path(mark).unlink()
        os.kill(os.getpid(), signal.SIGKILL)


Settlement._settle = settle_and_end  # type: ignore[method-assign]
