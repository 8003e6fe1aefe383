"""The names of a task's fields, beside those of its rollback hook's own parameters: refused where it is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from celery_anp.errors import BadDeclaration

_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


def check_fields(name: str, body: Callable[..., Any]) -> None:
    """Refuse a field that no call can give.

    Args:
        name: the task's name.
        body: without the task as its first parameter.

    Raises:
        BadDeclaration: a field is called `self`.
    """
    if "self" in _named(body):
        raise BadDeclaration(
            f"Task {name!r} has a field called 'self'",
            expected="bind=True, which makes `self` the task, or another name",
            given=f"def …{inspect.signature(body)}",
        )


def check_hook(name: str, body: Callable[..., Any], hook: Callable[..., Any], own: int) -> None:
    """Refuse a rollback hook that cannot be called with the input of its task.

    Args:
        name: the task's name.
        body: without the task as its first parameter.
        hook: it.
        own: how many of its parameters are not input: `self` and `undo`, or only `undo` where it is bound.

    Raises:
        BadDeclaration: a field has the name of one of those, or the hook does not take each field.
    """
    signature, fields = inspect.signature(hook), _named(body)
    first = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY][:own]
    taken = {p.name for p in first if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD} & fields.keys()
    if taken:
        raise BadDeclaration(
            f"The rollback hook of {name!r} has a parameter {min(taken)!r} of its own, which is also a field",
            expected=f"another name for one of them, or a / after the first {own} of the hook",
            given=f"def …{signature}",
        )
    if any(p.kind in _PLACES for p in inspect.signature(body).parameters.values()):
        return  # what has no name is only known at the call
    try:
        signature.bind(*[None] * own, **fields)
    except TypeError as error:
        raise BadDeclaration(
            f"The rollback hook of {name!r} does not take the input of its task: {error}",
            expected=f"undo and each field: {', '.join(fields) or '(none)'}",
            given=f"def …{signature}",
        ) from None


def _named(body: Callable[..., Any]) -> dict[str, None]:
    parameters = inspect.signature(body).parameters.values()
    return {p.name: None for p in parameters if p.kind not in (*_PLACES, inspect.Parameter.VAR_KEYWORD)}
