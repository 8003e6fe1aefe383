"""A team's project as it is before anp: Flask's documented app, task classes of their own, options of Celery's."""

from __future__ import annotations

from pathlib import Path

#: Flask's documented recipe, with the one call of ours behind it.
FLASK = """
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import Celery, Task, shared_task
from celery.worker.request import Request
from flask import Flask, current_app
from kombu import Exchange, Queue
from pydantic import BaseModel

from celery_anp import ReliableTask, guard

if TYPE_CHECKING:
    from nowhere import Elsewhere

JOURNAL = Path({journal!r})


def note(event, **fields):
    with JOURNAL.open("a") as file:
        file.write(json.dumps({{"event": event, **fields}}) + "\\n")


def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


flask_app = Flask("shop")
flask_app.config["CELERY"] = {{
    "broker_url": {url!r}, "result_backend": {url!r}, "task_ignore_result": False, "worker_concurrency": 2,
    "task_queues": [
        Queue("celery"), Queue("feeds"), Queue("routed", Exchange("routes"), routing_key="by.route"),
    ],
}}
app = guard(celery_init_app(flask_app))


@shared_task(name="flask", queue="feeds")
def in_context(x):
    note("flask", x=x)
    return f"{{current_app.name}} {{x}}"


class Direct(Task):
    colour = "green"

    def __call__(self, *args, **kwargs):
        note("wrapper", of=self.name)
        return self.run(*args, **kwargs)

    def on_success(self, retval, task_id, args, kwargs):
        note("hook", hook="on_success", args=args, kwargs=kwargs, retval=retval)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("hook", hook="on_failure", args=args, kwargs=kwargs)


class Polite(Task):
    def __call__(self, *args, **kwargs):
        note("wrapper", of=self.name)
        return super().__call__(*args, **kwargs)


class OfOurs(ReliableTask):
    def __call__(self, *args, **kwargs):
        note("wrapper", of=self.name)
        return self.run(*args, **kwargs)


class OfTheApps(app.Task):
    def __call__(self, *args, **kwargs):
        note("wrapper", of=self.name)
        return super().__call__(*args, **kwargs)


class Heard(Request):
    def on_failure(self, exc_info, *args, **kwargs):
        note("request", of=self.task.name)
        return super().on_failure(exc_info, *args, **kwargs)


class Listening(Task):
    Request = Heard


def body(self, x):
    note("body", of=self.name, id=self.request.id, args=self.request.args, kwargs=self.request.kwargs)
    return x * 2


for name, base in {{
    "direct": Direct, "polite": Polite, "of-ours": OfOurs, "of-the-apps": OfTheApps,
}}.items():
    app.task(name=name, base=base, bind=True, shared=False)(body)


class Registered(Direct):
    name = "registered"

    def run(self, x):
        return body(self, x)


app.register_task(Registered())


@app.task(name="fails", base=Direct)
def fails(x, times=1):
    raise ValueError(x)


@app.task(name="heard", base=Listening)
def heard():
    raise ValueError("as asked")


@app.task(name="outside", base=Task)
def outside(x):
    return x


class Order(BaseModel):
    number: int


@app.task(name="modelled", pydantic=True)
def modelled(order: Order) -> Order:
    return Order(number=order.number + 1)


@app.task(name="delivered", queue="feeds", compression="gzip", delivery_mode=1, immediate=False, mandatory=False)
def delivered(x):
    return x


@app.task(name="routed", exchange="routes", routing_key="by.route")
def routed(x):
    return x


@app.task(name="loose", bind=True)
def loose(self, flag: bool, number: int = None, *, elsewhere: "Elsewhere" = None, more: Any = None) -> str:
    note("loose", flag=flag, number=number, more=type(more["id"]).__name__ if more else None,
         args=self.request.args, kwargs=sorted(self.request.kwargs))
    return None


@app.task(name="locked", lock="shop:{{site}}", typing=False)
def locked(site):
    return site


@app.task(name="again", bind=True, max_retries=1)
def again(self, x, y=0):
    if y:
        return [x, y]
    raise self.retry(args=(x + 1,), kwargs={{"y": 5}}, countdown=0)


@app.task(name="typed", typed=True)
def typed(flag: bool) -> int:
    return int(flag)


@app.task(name="starts")
def starts():
    return outside.delay(1)
"""
#: Flask's recipe of old: the class is set on an app that is there.
OLD = """
import json
from celery import Celery
from flask import Flask, current_app

from celery_anp import guard

flask_app = Flask("old")
celery = Celery(flask_app.import_name, broker={url!r}, backend={url!r})
celery.conf.worker_concurrency = 1


class ContextTask(celery.Task):
    def __call__(self, *args, **kwargs):
        with flask_app.app_context():
            return self.run(*args, **kwargs)


celery.Task = ContextTask
app = guard(celery)


@app.task(name="old")
def old(x):
    with open({journal!r}, "a") as file:
        file.write(json.dumps({{"event": "old", "x": x}}) + "\\n")
    return f"{{current_app.name}} {{x}}"
"""


def write(folder: Path, name: str, text: str, url: str) -> str:
    """Write a project of one module.

    Args:
        folder: where; the journal is there too.
        name: of the module.
        text: one of those above.
        url: of the Redis that is its broker.

    Returns:
        The module's name.
    """
    (folder / f"{name}.py").write_text(text.format(url=url, journal=str(folder / "journal")), encoding="utf-8")
    return name
