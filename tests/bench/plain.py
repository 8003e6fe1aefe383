"""A plain Celery app with the same configuration, the same tasks, and nothing of ours in between."""

from __future__ import annotations

from celery import Celery

from celery_anp.deployment import Deployment
from celery_anp.seams.configuration import CONSUMING, configuration
from tests.bench import sent
from worker.settings import settings

OURS_ALONE = {*CONSUMING, "beat_scheduler", "imports"}

app = Celery("plain", set_as_current=False)
app.conf.update(
    {name: value for name, value in configuration(settings(), Deployment()).items() if name not in OURS_ALONE}
)
app.conf.task_default_queue = "plain"


@app.task(name="plain.noop")
def noop(x: int) -> int:
    """Does nothing."""
    return x


@app.task(name="plain.counted")
def counted(x: int) -> int:
    """Tells how many requests this child has sent to Redis so far; the first run begins to count."""
    if not x:
        sent.watch()
    return sent.count()
