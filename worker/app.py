"""This deployment's app: the site's tasks, schedules, commands and checks on the engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from celery import signals

from celery_anp.app import create_app
from celery_anp.deployment import Deployment
from worker.settings import settings

SCHEDULES = Path(__file__).resolve().parents[1] / "schedules"
#: The schedules of each kind of site.
BY_KIND = {"demo": (SCHEDULES,), "wordpress": (SCHEDULES / "maintenance.toml", SCHEDULES / "wordpress")}


def schedules() -> Sequence[Path]:
    """The schedules that come with this kind of site."""
    return BY_KIND[settings().site_kind]


@signals.worker_init.connect(dispatch_uid="worker.imports")
def make_imports_folder(**_: object) -> None:
    """A folder for files to import, where the state folder is ours; else `content.import` says so when it is asked."""
    with suppress(OSError):
        (settings().imports or settings().state / "imports").mkdir(mode=0o750, exist_ok=True)


app = create_app(
    Deployment(
        tasks=(
            "worker.tasks.content", "worker.tasks.importing", "worker.tasks.cache", "worker.tasks.database",
            "worker.tasks.wordpress",
        ),
        routes={"content.import": {"queue": "imports"}},  # on workers of its own, where the site wants that
        queues=("default", "imports"),
        schedules=schedules,
        commands={"cache": "worker.cli.cache:app", "db": "worker.cli.database:app"},
        checks="worker.checks.site:points",
        local="worker.demo.local:Demo",
    )
)  # fmt: skip
