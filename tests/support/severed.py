"""A task that is cut off once, where a file says so.

Its child is killed when it has settled, or has Celery's claim to send its chord in its hand; or Redis does not answer
the child that joins a chord's results, or that tells that a chord failed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery import current_task
from redis.exceptions import ConnectionError

from tests.support.journal import Journal
from tests.support.probe import OURS
from worker.app import app
from worker.reliability.retry import Retries
from worker.results import LedgerResults
from worker.settlement import Settlement


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
        where: `settled`, `claimed`, `joining` or `failing`.
    """
    path = folder / f"{name}.{where}"
    path.touch()
    return str(path)


def is_cut_off(where: str) -> bool:
    dies = (current_task.request.kwargs or {}).get("dies", "") if current_task else ""
    if not (dies.endswith(f".{where}") and Path(dies).exists()):
        return False
    Path(dies).unlink()
    return True


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
    return super(LedgerResults, self)._unpack_chord_result(*args, **kwargs)


def fail_and_hear_nothing(self: Any, *args: Any, **kwargs: Any) -> Any:
    hear_nothing("failing")
    return super(LedgerResults, self).fail_from_current_stack(*args, **kwargs)


Settlement._settle = settle_and_end  # type: ignore[method-assign]
LedgerResults._unpack_chord_result = join_and_end  # type: ignore[attr-defined]
LedgerResults.fail_from_current_stack = fail_and_hear_nothing  # type: ignore[attr-defined]
