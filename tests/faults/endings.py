"""Tasks that end badly, for `test_bad_endings`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from celery_anp.errors import BadUsage, LostOwnership
from celery_anp.reliability.retry import Retries
from tests.support.journal import Journal
from worker.app import app

OURS = {"owner": "tests", "expects": "a named end"}


class Awkward(Exception):
    """An exception that cannot be built from its own arguments."""

    def __init__(self, *, code: int, detail: object) -> None:
        super().__init__(f"awkward {code}")
        self.detail = detail


def raise_awkward() -> None:
    """An error that no serializer takes as it is."""
    raise Awkward(code=7, detail=lambda: None)


def exhaust() -> None:
    """What the interpreter raises when it cannot have more memory."""
    raise MemoryError("as asked")


def interrupt() -> None:
    """What Ctrl-C raises, from inside a body."""
    raise KeyboardInterrupt


#: Ways to end that need nothing of the task.
WAYS: dict[str, Callable[[], Any]] = {
    "awkward": raise_awkward,
    "memory": exhaust,
    "interrupt": interrupt,
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), 9),
    "object": object,
    "large": lambda: "x" * 300_000,
}


@app.task(name="ending.way", no_rollback="changes nothing", **OURS)
def ends(way: str) -> Any:
    """Ends in one of the ways."""
    return WAYS[way]()


@app.task(name="ending.stubborn", retries=Retries(max=0), no_rollback="changes nothing", **OURS)
def goes_on(path: str) -> None:
    """Swallows its soft time limit and goes on."""
    journal = Journal(path)
    try:
        journal.wait_at("nobody opens it")
    except SoftTimeLimitExceeded:
        journal.write("swallowed")
    journal.wait_at("nor this one")


@app.task(bind=True, name="ending.undo", undo_limit=2000, retries=Retries(max=2, first=0.1), **OURS)
def records(self: Any, path: str, size: int, count: int = 1, odd: bool = False) -> None:
    """Records undo entries of some size, each before its effect."""
    for number in range(count):
        self.undo(f"entry {number}", data={1, 2} if odd else "x" * size)
        Journal(path).write("effect", run=self.run_id, number=number)


@records.on_rollback("Writes a line for each entry.")
def unrecord(self: Any, undo: Any, path: str, size: int, count: int = 1, odd: bool = False) -> None:
    for entry in undo:
        Journal(path).write("undone", run=self.run_id, name=entry.name)


@app.task(bind=True, name="ending.hook", lock="{lock}", **OURS)
def fails(self: Any, path: str, lock: str, how: str) -> None:
    """Does one effect and fails for good, unless it is asked to be fine."""
    if how != "fine":
        self.undo("effect")
        raise ValueError("as asked")


@fails.on_rollback("Fails until `<path>.mended` exists.")
def unfail(self: Any, undo: Any, path: str, lock: str, how: str) -> None:
    for _entry in undo:
        Journal(path).write("undone", run=self.run_id)
        if not Path(f"{path}.mended").exists():
            raise BadUsage("The hook cannot go on") if how == "at once" else RuntimeError("the hook fails")


@app.task(bind=True, name="ending.late", on_lost="finish", no_rollback="its store is fenced", **OURS)
def late(self: Any, path: str, what: str) -> str:
    """Waits at a gate until it has lost its run, then goes on as if nothing had happened."""
    journal = Journal(path)
    if self.anp_attempt.number > 1:
        return "second"
    journal.wait_at(what, run=self.run_id)
    try:
        if what == "undo":
            self.undo("late")
        elif what == "step":
            self.step("late", lambda: 1)
        elif what == "progress":
            self.progress(1, 2)
    except LostOwnership as error:
        journal.write("lost", run=self.run_id, says=str(error))
        raise
    return "first"
