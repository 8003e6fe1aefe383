"""Errors and values that are hard to tell, to send or to build anew: what a body may raise and return.

A plan names them: an error is `{"kind": …, "text": …}`, a value `{"value": …}` or `{"odd": …}`.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from typing import Any

from celery import exceptions as celerys

from celery_anp.errors import BadUsage


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
