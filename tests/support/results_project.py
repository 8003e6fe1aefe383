"""A team's project that keeps its results in its own way: compressed, pickled, signed, on another Redis, in SQL."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from celery.backends.redis import RedisBackend
from kombu.serialization import register

TEXT = """
import json, os, time

from tests.support.results_project import made
from celery import Task
from celery.exceptions import Ignore, Reject
from celery.signals import task_failure
from celery_anp import Retries, guard
from pydantic import BaseModel

app = guard(made({url!r}, {backend!r}, {conf!r}))


class Order(BaseModel):
    number: int


def note(event, **fields):
    with open({journal!r}, "a") as file:
        file.write(json.dumps({{"event": event, **fields}}) + "\\n")


@task_failure.connect(weak=False)
def failed(sender=None, task_id=None, exception=None, args=None, **_):
    note("signal", run=task_id, error=type(exception).__name__, args=args, request=sender.request.id)


class Hooked(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("hook", run=task_id, error=type(exc).__name__, args=args)


@app.task(name="ends", base=Hooked, bind=True, shared=False, retries=Retries(max=0))
def ends(self, how):
    note("began", how=how, run=self.request.id)
    if how == "sleeps":
        time.sleep(30)
    if how == "dies":
        os.kill(os.getpid(), 9)
    while how == "waits" and not os.path.exists({journal!r} + ".go"):
        time.sleep(0.05)
    if how in ("fails", "waits"):
        raise ValueError(how)
    if how == "tells":
        self.update_state(state="HALTED", meta={{"at": 7}})
        raise Ignore("told it itself")
    if how == "tells a failure":
        told = {{"exc_type": "KeyError", "exc_module": "builtins", "exc_message": ["as told"]}}
        self.update_state(state="FAILURE", meta=told)
        raise Ignore("told it itself")
    if how == "ignores":
        raise Ignore("says nothing")
    if how == "put back":
        note("delivered", again=bool(self.request.delivery_info.get("redelivered")))
        if len(open({journal!r}).read().split("delivered")) < 4:
            raise Reject("not yet", requeue=True)
    if how == "put back for ever":
        raise Reject("never", requeue=True)
    if how == "large":
        return "é" * 300_000
    if how == "huge":
        return "x" * 17_000_000
    if how == "object":
        return {{1, 2}} | {{object()}}
    return [how, 1]


@app.task(name="ignored", shared=False, ignore_result=True)
def ignored(how):
    return Order(number=1) if how == "model" else object() if how == "object" else how


class Thing:
    pass


@app.task(name="ignored and typed as a class", shared=False, ignore_result=True, typed=True)
def ignored_and_typed_as_a_class(how: str) -> Thing | str:
    return Thing() if how == "object" else how


@app.task(name="ignored but for errors", shared=False, ignore_result=True, store_errors_even_if_ignored=True)
def ignored_but_for_errors(how):
    raise KeyError(how)


@app.task(name="ignored and typed", shared=False, ignore_result=True, typed=True)
def ignored_and_typed(how: str):
    return ignored(how)


class Counted(Task):
    attempt = "theirs"


@app.task(name="says", base=Counted, bind=True, shared=False, max_retries=2)
def says(self, retry=False):
    said = [self.attempt, getattr(self.request, "attempt", None), self.request.eta, self.request.expires]
    if retry and not self.request.retries:
        note("says", said=said)
        raise self.retry(countdown=1)
    return said


@app.task(name="after", shared=False)
def after(value, note_of=None):
    note("after", value=value)
    return value
"""


def signed(data: Any) -> bytes:
    """What a serializer that signs gives: bytes that are no text."""
    import pickle  # as Celery's own does

    return b"\xff\x00signed" + pickle.dumps(data)


def unsigned(data: bytes) -> Any:
    """What it reads back."""
    import pickle

    assert data.startswith(b"\xff\x00signed"), data[:20]
    return pickle.loads(data[8:])


class DyingOnce(RedisBackend):
    """Takes its process down with the first success that it is to store."""

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kw: Any) -> Any:
        if state == "SUCCESS" and self.client.set("died", 1, nx=True):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().store_result(task_id, result, state, *args, **kw)


def made(url: str, backend: str, conf: dict[str, Any]) -> Celery:
    """An app as the team makes it; producers use it too, and are not guarded.

    Args:
        url: its broker.
        backend: its results.
        conf: the rest of its configuration.
    """
    register("signed", signed, unsigned, content_type="application/x-signed", content_encoding="binary")
    app = Celery("results", broker=url, backend=backend, set_as_current=False)
    app.conf.update({"result_accept_content": ["json", "pickle", "signed"], **conf})
    return app


def write(folder: Path, url: str, backend: str, conf: dict[str, Any]) -> str:
    """Write the project; returns the name of its module."""
    text = TEXT.format(url=url, backend=backend, conf=conf, journal=str(folder / "journal"))
    (folder / "kept_results.py").write_text(text, encoding="utf-8")
    return "kept_results"


def imported(folder: Path) -> Celery:
    """The guarded app of the project that `write` has written."""
    spec = importlib.util.spec_from_file_location("kept_results", folder / "kept_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: Celery = module.app
    return app
