"""From a row of the ledger to a run. A row may be of another version, or damaged: what is not understood is named.

Nobody who lists, shows or counts runs stops at one row: its other fields are shown, and these stay unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from celery_anp.redaction import hidden
from celery_anp.reliability.message import opened
from celery_anp.reliability.row import ROW, read
from celery_anp.reliability.run import STATES, Run, Step, UndoEntry, moment

T = TypeVar("T")
#: What reading a text that means something else can raise.
WRONG = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, OSError, RecursionError)


class _Row:
    """One row, and the names of the fields in it that nobody understands."""

    def __init__(self, row: Mapping[str, str]) -> None:
        self.row = row
        self.unreadable: dict[str, None] = {}

    def made(self, name: str, make: Callable[[], T], default: T) -> T:
        """What is made of a field; a default where that cannot be done."""
        try:
            return make()
        except WRONG:
            self.unreadable[name] = None
            return default

    def of(self, name: str, make: Callable[[Any], Any] | None = None) -> Any:
        """A field as Python sees it, and what is made of that; its default where it is not understood."""
        if make is None:
            return self.made(name, lambda: read(self.row, name), ROW[name].default)
        return self.made(name, lambda: make(read(self.row, name)), None)


def from_row(run_id: str, row: Mapping[str, str], undo: list[str] | None = None) -> Run:
    """A run from its hash.

    Args:
        run_id: its id.
        row: the hash's fields.
        undo: the JSON of its undo entries, oldest first.

    Returns:
        The run; what cannot be understood of its row stands in `unreadable`.
    """
    held = _Row(row)
    of = held.of
    began, wanted = of("began", moment), of("wanted", moment)
    return Run(
        run_id=run_id,
        task=of("task"),
        schedule=of("schedule"),
        tick=of("tick", moment),
        state=held.made("state", lambda: _state(row["state"]), row.get("state", "")),
        reason=of("reason"),
        attempts=of("attempts"),
        failures=of("failures"),
        rollback_failures=of("rollback_failures"),
        losses=of("losses"),
        fence=of("fence"),
        node=of("node"),
        lock=of("lock"),
        queued_at=of("created", moment),
        due_at=of("due", moment),
        started_at=of("started", moment),
        finished_at=of("finished", moment),
        runtime=of("runtime", lambda span: None if span is None else span / 1000),
        lateness=max(0.0, (began - wanted).total_seconds()) if began and wanted else None,
        input=held.made("message", lambda: _input(of("message")), {}),
        result=of("result"),
        as_expected=of("as_expected"),
        error=held.made("error", lambda: _error(of("error")), None),
        progress=of("progress"),
        release=of("release"),
        queue=of("queue"),
        history=_history(held),
        undo=tuple(_undo(held, text) for text in undo or ()),
        unreadable=tuple(held.unreadable),  # the last: whatever is above may add to it
    )


def _state(text: str) -> str:
    if text not in STATES:
        raise ValueError(text)
    return text


def _input(message: str) -> dict[str, Any]:
    if not message:
        return {}
    held = opened(message)
    args, kwargs, _ = held.body
    shown = hidden(dict(kwargs), held.secrets)
    return {"args": args, **shown} if args else shown


def _error(error: Any) -> dict[str, Any] | None:
    return None if error is None else {**error, "type": str(error["type"]), "message": str(error["message"])}


def _history(held: _Row) -> tuple[Step, ...]:
    lines = (line for line in held.of("history").split("\n") if line)
    steps = (held.made("history", partial(_step, line), None) for line in lines)
    return tuple(step for step in steps if step is not None)


def _step(line: str) -> Step | None:
    time, before, after, node, reason = line.split("|", 4)
    at = moment(time)
    if at is None:
        raise ValueError(line)
    return Step(at, before, after, node, reason)


def _undo(held: _Row, text: str) -> UndoEntry:
    """One that nobody understands keeps its place, and is still to be undone."""

    def entry() -> UndoEntry:
        said = json.loads(text)
        name, data, number = str(said["name"]), dict(said["data"]), int(said["attempt"])
        return UndoEntry(name, data, number, said.get("outcome"), str(said.get("note", "")))

    return held.made("undo", entry, UndoEntry("unreadable", {"text": text}, 0))
