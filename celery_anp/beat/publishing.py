"""How a schedule's run is published: its task, also one that is known only by name, and the options of its message."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from celery import Task

from celery_anp.beat.schedule import Schedule
from celery_anp.canvas import signatures
from celery_anp.reliability.records import Timing

#: The header by which Celery marks what its beat sends; Sentry and others look for it.
OF_BEAT = "celery_beat_task"


def task_of(app: Any, name: str) -> Any:
    """The task of a schedule; one that stands for it where none is registered in this process."""
    return app.tasks[name] if name in app.tasks else _by_name(app, name)


@cache
def _by_name(app: Any, name: str) -> Task:
    kind: Any = type("ByName", (Task,), {"name": name, "abstract": True})
    kind.bind(app)
    return kind()


def options_of(app: Any, schedule: Schedule, run_id: str, plain: Timing | None) -> dict[str, Any]:
    """The options of a run's message, as `sending.message.built` takes them.

    Args:
        app: the app.
        schedule: the schedule.
        run_id: the id in the message; its links get theirs from it.
        plain: when the run of a task that is not guarded begins and expires; None for a guarded one, whose row says it.
    """
    options = {**schedule.options, "queue": schedule.queue, "priority": schedule.priority}
    for kind in options.keys() & {"link", "link_error"}:
        listed = signatures.listed(options[kind])
        options[kind] = [signatures.frozen(app, link, f"{run_id}/{kind}/{place}") for place, link in enumerate(listed)]
    options["headers"] = {**(options.get("headers") or {}), OF_BEAT: True}
    if plain is not None and plain.deadline:
        options["expires"] = datetime.fromtimestamp(plain.deadline / 1000, UTC)
    return {name: value for name, value in options.items() if value is not None}
