"""Tasks for what follows a run: bodies that change it, and links that take their time."""

from __future__ import annotations

import time
from typing import Any

from celery import Task
from celery.exceptions import Ignore

from celery_anp.canvas.chords import PatientChords
from celery_anp.reliability.retry import Retries
from tests.support.journal import Journal
from tests.support.probe import OURS
from tests.support.severed import end_here, step
from worker.app import app


@app.task(bind=True, name="following.stops", **OURS)
def stops(self: Any, x: int, how: str, link: dict[str, Any] | None = None, dies: str = "") -> int:
    """Its body lets nothing follow, or a link."""
    if how == "ignore":
        raise Ignore("as asked")
    if how == "chain":
        self.request.chain = None
    if how == "callbacks":
        self.request.callbacks = None
    if how == "links":
        self.request.callbacks = [link]
    return x


@app.task(base=Task, name="following.told")
def told(*told: Any, name: str, path: str) -> None:
    """A link that is not guarded: called twice, it runs twice."""
    Journal(path).write("told", name=name, told=repr(told))


@app.task(name="following.slow", **OURS)
def slow(request: Any, error: Any, trace: Any, path: str, name: str) -> None:
    """An errback that takes longer than upkeep waits."""
    Journal(path).write("told", name=name)
    time.sleep(8)


@app.task(bind=True, name="following.adds", retries=Retries(max=0), **OURS)
def adds(self: Any, path: str, dies: str = "") -> int:
    """A part that adds another one to its chord."""
    self.add_to_chord(step.si(self.anp_attempt.number))
    end_here("added")
    return 100


count = PatientChords.add_to_chord


def count_or_end(self: PatientChords, *args: Any, **kwargs: Any) -> Any:
    counted = count(self, *args, **kwargs)
    end_here("counted")
    return counted


PatientChords.add_to_chord = count_or_end  # type: ignore[method-assign]
