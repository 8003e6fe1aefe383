"""`anp schedules`: when tasks run."""

from __future__ import annotations

from typing import ClassVar

import typer

from celery_anp.cli.lazy import Lazy

ROOM = "celery_anp.cli.schedules"


class Schedules(Lazy):
    """Those that only steer need to know no schedule, and no Celery."""

    at: ClassVar = {
        "list": f"{ROOM}.looking:list_schedules",
        "show": f"{ROOM}.looking:show",
        "next": f"{ROOM}.looking:show_next",
        "trigger": f"{ROOM}.trigger:trigger",
        "pause": f"{ROOM}.overrides:pause",
        "resume": f"{ROOM}.overrides:resume",
        "disable": f"{ROOM}.overrides:disable",
        "enable": f"{ROOM}.overrides:enable",
        "backfill": f"{ROOM}.backfill:backfill",
        "diff": f"{ROOM}.changes:diff",
        "reload": f"{ROOM}.changes:reload",
        "import-cron": f"{ROOM}.crontab:import_cron",
    }


app = typer.Typer(
    cls=Schedules, no_args_is_help=True, add_completion=False, help="When tasks run, and what operators override."
)


@app.callback()
def _schedules() -> None:
    """When tasks run, and what operators override."""
