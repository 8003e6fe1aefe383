"""A way through the model, told step by step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.model.moment import Moment, Packed
from tests.model.scene import Scene
from tests.model.shapes import Row
from tests.model.states import NODE, QUEUE, TIME
from tests.model.steps import after, steps

PLACES = {0: "", QUEUE: " in the queue", TIME: " in time", 4: " in line", NODE: " at a node"}


def tell(scene: Scene, way: list[Packed]) -> Iterator[str]:
    """One line for each step: what happened, and what it changed in the ledger and outside."""
    for before, then in pairwise(way):
        yield f"{_label(scene, before, then):58} {_changes(scene, before, then)}".rstrip()


def _label(scene: Scene, before: Packed, then: Packed) -> str:
    for step in steps(Moment.unpack(scene, before)):
        if after(Moment.unpack(scene, before), step, before) == then:
            return step.label
    return "?"


def _changes(scene: Scene, before: Packed, then: Packed) -> str:
    old, new = Moment.unpack(scene, before).ledger, Moment.unpack(scene, then).ledger
    pairs = enumerate(zip(old.rows, new.rows, strict=True))
    told = [f"run {run}: {_row(b)}" for run, (a, b) in pairs if _row(a) != _row(b)]
    if old.holder != new.holder:
        told.append(f"lock: {'free' if new.holder < 0 else f'run {new.holder}'}")
    return "; ".join(told)


def _row(row: Row) -> str:
    words = [f"{row.state}{PLACES.get(row.index, ' in two indexes')}"]
    words += [f"fence {row.fence}"] if row.index & NODE else []
    words += [f"losses {row.losses / 2:g}"] if row.losses else []
    words += ["marked"] if row.marked else []
    if row.undo:
        words.append("undo " + "/".join(entry or "-" for entry in row.undo))
        words.append("stands " + "/".join("yes" if stands else "no" for stands in row.stands))
    return ", ".join(words)
