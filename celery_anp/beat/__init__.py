"""Schedules as code: what is declared, when it is due, and the beat that decides each tick once.

Order to read: `schedule` (one entry), `occurrences` (when it is due), `catalog` (all of them, checked; `reading` finds
them), `catchup` (what becomes of ticks), `plan`, `cursors`, `scheduler`. `crontab` turns a crontab into entries.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Scheduler"]


def __getattr__(name: str) -> Any:
    """`celery_anp.beat:Scheduler`, loaded when it is asked for: occurrences and schedules need no Celery."""
    if name != "Scheduler":
        raise AttributeError(name)
    from celery_anp.beat.scheduler import Scheduler

    return Scheduler
