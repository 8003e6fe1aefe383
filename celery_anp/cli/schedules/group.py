"""`anp schedules`: when tasks run."""

from __future__ import annotations

from celery_anp.cli.lazy import Lazy

ROOM = "celery_anp.cli.schedules"


class Schedules(Lazy):
    """Those that only steer need to know no schedule, and no Celery."""
