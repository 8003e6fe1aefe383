"""What guard cannot keep of an app, found when a process of it starts: all of it at once, each with its mend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import VERSION, Task
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger

from celery_anp.errors import BadSetting
from celery_anp.redaction import cleared
from celery_anp.reliability import sentinel
from celery_anp.seams.configuration import CONSUMING
from celery_anp.seams.task_class import taken
from celery_anp.sending import publisher
from celery_anp.task import ReliableTask

log = get_logger(__name__)

#: How the address of a broker begins that can keep the ledger.
REDIS = ("redis://", "rediss://", "redis+socket://", "unix://", sentinel.SCHEME)


def refuse(problems: Iterator[str]) -> None:
    """Say what cannot be kept.

    Raises:
        BadSetting: there is something.
    """
    if found := list(problems):
        raise BadSetting(
            f"This app cannot be guarded as it is ({len(found)} to mend): " + "; ".join(found),
        )


def unkept(app: Any) -> Iterator[str]:
    """What of an app cannot be kept: what it is, and its mend. Of its tasks those that are imported so far."""
    broker = publisher.broker_url(app)
    if not broker.startswith(REDIS):
        given = cleared(broker.partition("://")[0] or broker)
        yield f"its broker is {given}, and rows need Redis (set broker_url to redis://…, or leave guard() out)"
    if app.conf.task_protocol != 2 and VERSION < (5, 7):  # it links a chord to the wrong part
        yield f"task_protocol is {app.conf.task_protocol}: before Celery 5.7 chains of chords would hang (leave it out)"
    for name, task in sorted(app.tasks.items()):
        if isinstance(task, ReliableTask) and (names := taken(type(task))):
            yield f"the class of {name} uses names that we need: {', '.join(names)} (call them something else)"


def unkept_by_worker(app: Any) -> Iterator[str]:
    """The same for a worker, which has imported all its tasks, and takes messages."""
    yield from unkept(app)
    consumer, ours = app.conf.worker_consumer, CONSUMING["worker_consumer"]
    if not issubclass(symbol_by_name(consumer), symbol_by_name(ours)):
        yield f"worker_consumer is {consumer} (derive it from {ours.replace(':', '.')}, which parks what nobody knows)"


def tell(app: Any) -> None:
    """Log what works, and is less than somebody may think."""
    own = [name for name, task in app.tasks.items() if type(task).__mro__[1] is Task and not name.startswith("celery.")]
    if own:
        log.warning(
            "not guarded, because their base is celery.Task: %s. Mend: leave base= out, or name a class of your own",
            ", ".join(sorted(own)),
        )
    if not app.conf.result_backend:
        log.warning(
            "there is no result backend: get() and chords cannot work, as in plain Celery. "
            "Mend: result_backend = broker_url, where results cost no further round trip"
        )
