"""Tasks that end in any way, for `test_any_ending`: each does what its plan says, which is JSON that holds any text.

A plan is a word and what it needs. An error is `{"kind": …, "text": …}`, a value `{"value": …}` or `{"odd": …}`.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import sys
from collections.abc import Callable
from typing import Any

from celery import exceptions as celerys
from celery.signals import task_failure, task_postrun, task_prerun, task_retry, task_success

from celery_anp.errors import BadUsage
from celery_anp.reliability.retry import Retries
from worker.app import app

OURS = {"owner": "tests", "expects": "a named end"}
QUIET = {**OURS, "no_rollback": "changes nothing"}


class Silent(Exception):
    """It does not say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("it does not say")


class Unseen(Exception):
    """It does not show itself."""

    def __repr__(self) -> str:
        raise RuntimeError("it does not show itself")


class Numb(Exception):
    """What it says is no text."""

    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # noqa: PLE0307  as asked


class Neither(Exception):
    """It is neither true nor false."""

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


class Odd(Exception):
    """Every question that is not foreseen is an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Fixed(Exception):
    """It is built from other arguments than it keeps, and cannot be built anew."""

    def __init__(self, text: str, *, detail: object = None) -> None:
        super().__init__()
        self.detail = detail or (lambda: text)

    def __reduce__(self) -> Any:
        raise TypeError("it stays here")


class Foreign(Exception):
    """It can be sent, and not be built where it arrives."""

    def __init__(self, *, text: str) -> None:
        super().__init__(text)


class Base(BaseException):
    """None of `Exception`'s."""


class Hopeless(BadUsage):
    """A hook that raises it is not asked again."""

    def __str__(self) -> str:
        return str(self.failed)


class Ignored(celerys.Ignore):
    """Celery's own, of a class that cannot be built anew."""

    def __init__(self, text: str, more: object) -> None:
        super().__init__(text)
        self.more = more


class Text(str):
    """A text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError("it does not show itself")


class Json:
    """A value that fails when it is to become JSON."""

    def __json__(self) -> Any:
        raise OSError("it stays here")


def circle() -> Any:
    """A list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> Any:
    """Lists in lists."""
    found: list[Any] = []
    for _ in range(5000):
        found = [found]
    return found


def group(text: str) -> BaseException:
    """Errors in groups, one of them none of `Exception`'s."""
    inner: BaseException = Silent()
    for _ in range(20):
        inner = BaseExceptionGroup("inner", [inner, ValueError(text), Base(text)])
    return BaseExceptionGroup("outer", [inner])


def chained(text: str) -> BaseException:
    """An error with errors that led to it."""
    error: BaseException = Silent()
    for _ in range(30):
        before, error = error, ValueError(text)
        error.__cause__ = before
    return error


OWN: dict[str, Callable[[str], Any]] = {
    "Silent": Silent, "Unseen": Unseen, "Numb": Numb, "Neither": Neither, "Odd": Odd, "Fixed": Fixed, "Base": Base,
    "Foreign": lambda text: Foreign(text=text), "group": group, "chained": chained, "Hopeless": Hopeless,
    "local": type("Local", (ValueError,), {}), "CancelledError": asyncio.CancelledError,
    "many": lambda text: ValueError(*[text] * 5000), "large": lambda text: ValueError(text, "é" * 300_000),
    "odd arguments": lambda text: ValueError({text}, object(), circle(), float("nan")),
    "no arguments": lambda _: Base(),
}  # fmt: skip
CELERYS = (
    "WorkerShutdown", "WorkerTerminate", "TaskRevokedError", "SoftTimeLimitExceeded", "TimeLimitExceeded",
    "WorkerLostError", "Terminated", "MaxRetriesExceededError", "ImproperlyConfigured", "InvalidTaskError",
)  # fmt: skip
BUILTINS = sorted(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
)
KINDS = (*BUILTINS, *CELERYS, *OWN)
ODD: dict[str, Callable[[], Any]] = {
    "nan": lambda: float("nan"), "infinite": lambda: [float("-inf")], "set": lambda: {1, "a"}, "object": object,
    "bytes": lambda: b"\xff", "circle": circle, "deep": deep, "digits": lambda: 10**5000,
    "tuple key": lambda: {(1, 2): 3},
    "text": lambda: Text("caf\udce9"), "json": Json, "large": lambda: "x" * 300_000, "type": lambda: int,
    "keys": lambda: {1: 2, None: 3, "1": 4}, "function": lambda: print, "generator": lambda: (n for n in range(3)),
}  # fmt: skip


def error_of(plan: dict[str, str]) -> BaseException:
    """The error that a plan names; one that cannot be built so is the error of building it."""
    kind, text = plan["kind"], plan["text"]
    build = OWN.get(kind) or getattr(builtins, kind, None) or getattr(celerys, kind)
    try:
        return build(text)
    except Exception as error:
        return error


def value_of(plan: dict[str, Any]) -> Any:
    """The value that a plan names."""
    return ODD[plan["odd"]]() if "odd" in plan else plan["value"]


def act(task: Any, word: str, plan: dict[str, Any]) -> Any:
    """End as the plan says."""
    error = error_of(plan["error"]) if "error" in plan else None
    value = value_of(plan) if plan.keys() & {"odd", "value"} else None
    first = task.attempt.number == 1
    if word == "raise":
        assert error is not None
        raise error
    if word == "ignore":
        raise Ignored(plan["text"], object()) if plan["own"] else celerys.Ignore(plan["text"], value)
    if word == "reject":
        raise celerys.Reject(error or plan["text"])
    if word == "requeue" and first:
        raise celerys.Reject(error or plan["text"], requeue=True)
    if word == "by hand" and first:
        raise celerys.Retry(plan["text"], error, when=0)
    if word == "retry" and first:
        task.retry(exc=error, countdown=0, max_retries=1)
    if word == "retry in vain":
        task.retry(exc=error, countdown=0, max_retries=0)
    if word == "retry when":
        task.retry(**{plan["option"]: value})
    if word == "record":
        task.undo(plan["text"], data=value)
        task.step(plan["text"], lambda: value)
        task.progress(value, value)
    return value


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


HANDLERS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
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
    if how == "retries" and self.attempt.number == 1:
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
