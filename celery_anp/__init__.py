"""Scheduled work that can be trusted, on Celery and Redis: the engine. It knows no site.

    from celery_anp import guard
    app = Celery("shop", broker="redis://localhost")
    guard(app)                                    # its tasks are guarded from here on

The house, from the ground up; a room imports only rooms below it:

    errors wording settings duration clock log redaction security deployment process      the ground
    reliability      what is promised of a run: the ledger, in Redis; no Celery in it
    contract         what a task declares: options, typed input and result
    sending          a call becomes one row and one message
    canvas           links, chords, errbacks
    execution task   the life of a run, in the worker's child
    node             in the worker's main process: lease, reconcile, upkeep, outbox
    seams            where we stand inside Celery, kombu and billiard
    app              guard, create_app
    beat             schedules, and the beat that decides each tick once
    screen checklist metrics local
    cli tasks        `anp`, and the engine's own tasks
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery_anp.app import GuardedApp as GuardedApp
    from celery_anp.app import create_app as create_app
    from celery_anp.app import guard as guard
    from celery_anp.deployment import Deployment as Deployment
    from celery_anp.reliability.retry import Retries as Retries
    from celery_anp.task import ReliableTask as ReliableTask

#: Public names, and where they are: loaded when they are asked for.
_PUBLIC = {
    "guard": "celery_anp.app", "create_app": "celery_anp.app", "GuardedApp": "celery_anp.app",
    "ReliableTask": "celery_anp.task", "Retries": "celery_anp.reliability.retry", "Deployment": "celery_anp.deployment",
}  # fmt: skip
__all__ = ["Deployment", "GuardedApp", "ReliableTask", "Retries", "create_app", "guard"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
