"""Tasks for canvas, and a step that is cut off once, where a file says so.

Its child is killed when it has settled (`settled`), has Celery's claim to send its chord in its hand (`claimed`), or is
about to confirm its links (`confirming`); or Redis does not answer the child that joins a chord's results (`joining`),
or that tells that a chord failed (`failing`), or it joins, and is killed when it would give back the count (`keeping`);
or its soft time limit comes while it counts (`counting`).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task, current_task
from redis.exceptions import ConnectionError

from celery_anp.canvas.chords import PatientChords
from celery_anp.canvas.results import LedgerResults
from celery_anp.execution.settlement import Settlement
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.retry import Retries
from tests.support.journal import Journal
from tests.support.probe import OURS
from worker.app import app


@app.task(name="severed.step", retries=Retries(max=0), **OURS)
def step(x: int, path: str = "", gate: str = "", dies: str = "", fails: str = "") -> int:
    """One more; `dies` names a file that says where it is cut off, if the file is there."""
    if gate:
        Journal(path).wait_at(gate)
    if fails:
        raise {"KeyError": KeyError, "ConnectionError": ConnectionError}[fails]("as asked")
    return x + 1


@app.task(name="severed.total", **OURS)
def total(numbers: list[int]) -> int:
    """A chord's body."""
    return sum(numbers)


@app.task(name="severed.body", **OURS)
def body(numbers: list[int], dies: str = "") -> int:
    """A chord's body that is cut off, as a step is."""
    return sum(numbers)


@app.task(name="severed.passes", **OURS)
def passes(x: int, name: str, path: str) -> int:
    """A callback that tells of itself."""
    Journal(path).write("passed", name=name)
    return x


@app.task(base=Task, name="severed.plain")
def plain(x: int, path: str, gate: str) -> int:
    """A part that is not guarded."""
    Journal(path).wait_at(gate)
    return x


@app.task(name="severed.exits", **OURS)
def exits(*told: Any, path: str) -> None:
    """An errback that would end its process."""
    Journal(path).write("exits")
    raise SystemExit(3)


@app.task(name="severed.strict", **OURS)
def strict(name: str) -> str:
    """Its input is bad after a step, which gives a number."""
    return name


@app.task(name="severed.heard", **OURS)
def heard(failed: str, name: str, path: str) -> None:
    """An errback that is a run of its own."""
    Journal(path).write("heard", failed=failed, name=name)


def mark(folder: Path, name: str, where: str) -> str:
    """A file for `dies`.

    Args:
        folder: where to put it.
        name: its name.
        where: one of the words above.
    """
    path = folder / f"{name}.{where}"
    path.touch()
    return str(path)


def is_marked(where: str) -> bool:
    dies = (current_task.request.kwargs or {}).get("dies", "") if current_task else ""
    return dies.endswith(f".{where}") and Path(dies).exists()


def is_cut_off(where: str) -> bool:
    marked = is_marked(where)
    if marked:
        Path(current_task.request.kwargs["dies"]).unlink()
    return marked


def end_here(where: str) -> None:
    if is_cut_off(where):
        os.kill(os.getpid(), signal.SIGKILL)


def hear_nothing(where: str) -> None:
    if is_cut_off(where):
        raise ConnectionError("as asked")


settle = Settlement._settle


def settle_and_end(self: Settlement, *args: Any, **data: Any) -> None:
    settle(self, *args, **data)
    end_here("settled")


def join_and_end(self: Any, *args: Any, **kwargs: Any) -> Any:
    end_here("claimed")
    hear_nothing("joining")
    if is_marked("keeping"):
        raise ConnectionError("as asked")
    if is_cut_off("counting"):
        raise SoftTimeLimitExceeded
    return super(LedgerResults, self)._unpack_chord_result(*args, **kwargs)


def fail_and_hear_nothing(self: Any, *args: Any, **kwargs: Any) -> Any:
    hear_nothing("failing")
    return super(LedgerResults, self).fail_from_current_stack(*args, **kwargs)


restore, confirm = PatientChords.restore_size, Ledger.links_done


def restore_or_end(self: PatientChords, *args: Any, **kwargs: Any) -> None:
    end_here("keeping")
    restore(self, *args, **kwargs)


def confirm_or_end(self: Ledger, run_id: str) -> None:
    end_here("confirming")
    confirm(self, run_id)


Settlement._settle = settle_and_end  # type: ignore[method-assign]
LedgerResults._unpack_chord_result = join_and_end  # type: ignore[attr-defined]
LedgerResults.fail_from_current_stack = fail_and_hear_nothing  # type: ignore[attr-defined]
PatientChords.restore_size = restore_or_end  # type: ignore[method-assign]
Ledger.links_done = confirm_or_end  # type: ignore[method-assign]
