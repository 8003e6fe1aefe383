"""What a deployment adds to the engine: its tasks, schedules, commands, checks, and what `anp up` starts beside ours.

Everything but the schedules is named by import path, so that nothing of it is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def no_schedules() -> Sequence[Path]:
    """Nothing is shipped: schedules are those of ANP_SCHEDULES and of the app's `beat_schedule`."""
    return ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """Handed to `create_app` or `guard`."""

    #: Modules with tasks, beside those of ANP_TASKS.
    tasks: Sequence[str] = ()
    #: Celery's `task_routes`.
    routes: Mapping[str, Any] = field(default_factory=dict)
    #: Queues that `anp worker` takes from unless it is told otherwise; none: Celery's own choice.
    queues: Sequence[str] = ()
    #: Files and folders of schedules that are its own where ANP_SCHEDULES names none.
    schedules: Callable[[], Sequence[Path]] = no_schedules
    #: Further commands of `anp` by name: `module:attribute` of a typer app.
    commands: Mapping[str, str] = field(default_factory=dict)
    #: `module:attribute` of a function that yields further points of `anp check`.
    checks: str = ""
    #: `module:attribute` of what `anp up` starts beside Redis, worker, beat and Flower (`celery_anp.local.parts`).
    local: str = ""
