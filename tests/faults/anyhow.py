"""Tasks that end in any way, for `test_any_ending`: each does what its plan says, which is JSON that holds any text.

A plan is a word and what it needs: errors and values as `oddities` names them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from celery import exceptions as celerys
from celery.signals import task_failure, task_postrun, task_prerun, task_retry, task_success

from celery_anp.reliability.retry import Retries
from tests.faults.oddities import Ignored, error_of, value_of
from worker.app import app

OURS = {"owner": "tests", "expects": "a named end"}
QUIET = {**OURS, "no_rollback": "changes nothing"}


def act(task: Any, word: str, plan: dict[str, Any]) -> Any:
    """End as the plan says."""
    error = error_of(plan["error"]) if "error" in plan else None
    value = value_of(plan) if plan.keys() & {"odd", "value"} else None
    if word == "raise":
        assert error is not None
        raise error
    if word == "ignore":
        raise Ignored(plan["text"], object()) if plan["own"] else celerys.Ignore(plan["text"], value)
    if word == "reject":
        raise celerys.Reject(error or plan["text"])
    if word == "record":
        task.undo(plan["text"], data=value)
        task.step(plan["text"], lambda: value)
        task.progress(value, value)
    if word.startswith("retry") or task.anp_attempt.number == 1:
        ask_again(task, word, plan, error, value)
    return value


def ask_again(task: Any, word: str, plan: dict[str, Any], error: BaseException | None, value: Any) -> None:
    """The words with which a body asks to be entered again, the first time or each time."""
    if word == "requeue":
        raise celerys.Reject(error or plan["text"], requeue=True)
    if word == "by hand":
        raise celerys.Retry(plan["text"], error, when=0)
    if word == "retry" and task.anp_attempt.number == 1:
        task.retry(exc=error, countdown=0, max_retries=1)
    if word == "retry in vain":
        task.retry(exc=error, countdown=0, max_retries=0)
    if word == "retry with":
        task.retry(kwargs={"path": plan["path"], "plan": plan["text"] * plan["times"]}, countdown=0)
    if word == "retry when":
        task.retry(**{plan["option"]: value})


def enter(task: Any, path: str) -> None:
    """A body is entered: a line of the journal, which is one write."""
    with open(path, "ab", buffering=0) as file:  # noqa: PTH123  unbuffered
        file.write(f"{task.run_id}\n".encode())


@app.task(bind=True, name="anyhow.body", retries=Retries(max=0), max_retries=1, **QUIET)
def body(self: Any, path: str, plan: str) -> Any:
    """Ends as its plan says, the same each time."""
    enter(self, path)
    return act(self, **json.loads(plan))


@app.task(
    bind=True, name="anyhow.auto", autoretry_for=(Exception,), retry_kwargs={"max_retries": 1, "countdown": 0}, **QUIET
)
def auto(self: Any, path: str, plan: str) -> Any:
    """Celery's autoretry."""
    enter(self, path)
    return act(self, **json.loads(plan))


@app.task(bind=True, name="anyhow.hooked", **OURS)
def hooked(self: Any, path: str, plan: str) -> None:
    """Fails with something to undo."""
    enter(self, path)
    self.undo("effect", plan=plan)
    raise ValueError("as asked")


@hooked.on_rollback("Fails as the plan says.")
def unhook(self: Any, undo: Any, path: str, plan: str) -> None:
    enter(self, f"{path}.undone")
    for _entry in undo:
        act(self, **json.loads(plan))


HANDLERS = ("on_success", "on_failure", "on_retry", "after_return")
SIGNALS = {
    "task_prerun": task_prerun, "task_postrun": task_postrun, "task_success": task_success,
    "task_failure": task_failure, "task_retry": task_retry,
}  # fmt: skip


def interfere(name: str, kwargs: Any) -> None:
    """Raise where a plan asks a handler or a receiver to."""
    if kwargs and kwargs.get("where") == name:
        if kwargs["plan"] == "exit":
            sys.exit(3)
        raise error_of(json.loads(kwargs["plan"]))


class Interfering(app.Task):  # type: ignore[name-defined]
    """Its handlers raise."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        interfere("before_start", kwargs)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        interfere("on_success", kwargs)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        interfere("on_failure", kwargs)

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        interfere("on_retry", kwargs)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        interfere("after_return", kwargs)


@app.task(bind=True, base=Interfering, name="anyhow.handled", **QUIET)
def handled(self: Any, path: str, plan: str, where: str, how: str) -> str:
    """Ends well, or fails, or is tried again; its handlers and its receivers raise."""
    enter(self, path)
    if how == "fails":
        raise ValueError("as asked")
    if how == "retries" and self.anp_attempt.number == 1:
        raise self.retry(countdown=0)
    return how


def receiver(name: str) -> Callable[..., None]:
    """A receiver of one signal."""

    def receive(sender: Any = None, request: Any = None, **_: Any) -> None:
        if getattr(sender, "name", "") == handled.name:
            interfere(name, (request or sender.request).kwargs)

    return receive


for _name, _signal in SIGNALS.items():
    _signal.connect(receiver(_name), weak=False, dispatch_uid=f"anyhow-{_name}")
