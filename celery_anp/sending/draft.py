"""The row of a run, before it is planned: the same function for calls, ticks and messages of foreign producers."""

from __future__ import annotations

from typing import Any

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.reliability.records import End, LockUse, Message, NewRun, Tick


def draft(
    task: Any,
    run_id: str,
    checked: Checked,
    message: Message | None = None,
    lock: LockUse | None = None,
    **about: Any,
) -> NewRun:
    """The row of one run.

    Args:
        task: its task; one that is not guarded has neither lock nor hook, and its run ends as sent.
        run_id: its id.
        checked: its input.
        message: its message; None while Celery is still to build it.
        lock: what its schedule says instead of the task.
        **about: whatever else is known of it: `timing`, `key`, `tick`, `stands_for`.

    Returns:
        What `Ledger.plan` takes.
    """
    about |= {"release": task.app.release, "message": message}
    if not isinstance(task, DeclaredTask):
        return NewRun(run_id, task.name, unguarded=True, lock=LockUse(overlap="allow_all"), **about)
    return NewRun(
        run_id, task.name, hook=task.has_rollback, meta_key=task.meta_key(run_id),
        by_backend=task.app.results_by_backend, lock=lock or lock_of(task, checked), **about,
    )  # fmt: skip


def lock_of(task: DeclaredTask, checked: Checked) -> LockUse:
    """The lock that a run by hand takes; whoever calls waits for it, unless the task says otherwise."""
    name, overlap = task.lock_of(checked.fields)
    return LockUse(name, overlap or "buffer_all", task.limit)


def skipped(task: str, run_id: str, tick: Tick, reason: str, release: str) -> NewRun:
    """The row of a tick that does not run: only the decision.

    Args:
        task: name of its task.
        run_id: its id.
        tick: the tick.
        reason: why.
        release: of who decides.
    """
    return NewRun(run_id, task, release, tick=tick, end=End("skipped", reason))
