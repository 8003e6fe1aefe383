"""Whether every task says what it must: its owner, what it expects, and how it is undone."""

from __future__ import annotations

from celery import Celery

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import BadDeclaration


def guarded_tasks(of: Celery) -> dict[str, DeclaredTask]:
    """The guarded tasks of an app by name, with all its task modules loaded."""
    of.loader.import_default_modules()
    of.finalize()
    own = {name: task for name, task in sorted(of.tasks.items()) if isinstance(task, DeclaredTask)}
    return {name: task for name, task in own.items() if not name.startswith("celery.")}


def check_tasks(of: Celery) -> None:
    """Refuse tasks that do not say who owns them, what they expect, and how they are undone.

    Raises:
        BadDeclaration: names every task and what it lacks.
    """
    lacking = [f"{task.name}: {', '.join(lacks)}" for task in guarded_tasks(of).values() if (lacks := missing(task))]
    if lacking and getattr(of, "strict", False):
        raise BadDeclaration(
            "Tasks do not say what they must: " + "; ".join(lacking),
            expected="owner, expects, and a rollback hook (@task.on_rollback) or no_rollback with the reason",
        )


def missing(task: DeclaredTask) -> list[str]:
    """What a task must say and does not."""
    lacks = [name for name in ("owner", "expects") if not getattr(task, name)]
    return lacks if task.has_rollback or task.no_rollback else [*lacks, "a rollback hook or no_rollback"]
