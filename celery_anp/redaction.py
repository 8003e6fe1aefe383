"""What is told outside is cleared of secrets: the values of secret input, and passwords and tokens in addresses.

Limit: a secret is known by the type of its field or by its place in an address; one printed otherwise passes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

#: What stands in the place of a secret.
HIDDEN = "(secret)"
# Texts, which `re` compiles and keeps when they are first used: a command that clears nothing does not wait for it.
_LOGIN = r"(?<=://)[^\s/@]+@"
_PARAMETER = r"(?i)([?&][\w-]*(?:token|key|secret|passwo?r?d|signature|sig|auth)[\w-]*=)[^&\s'\"]+"
_BEARER = r"(?i)\b(Bearer|Basic)\s+[\w.~+/=-]{8,}"


def cleared(text: str, values: Iterable[str] = ()) -> str:
    """A text without secrets.

    Args:
        text: what is told: a log line, an error, an alert.
        values: secrets that are known.

    Returns:
        The text with "(secret)" in the place of each.
    """
    for value in sorted(set(values), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = re.sub(_LOGIN, f"{HIDDEN}@", text)
    text = re.sub(_PARAMETER, rf"\1{HIDDEN}", text)
    return re.sub(_BEARER, rf"\1 {HIDDEN}", text)


def hidden(fields: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """Fields by name as they are shown: without the values of the secret ones."""
    return {name: HIDDEN if name in secrets else value for name, value in fields.items()}


def hide(error: BaseException, values: Sequence[str]) -> None:
    """Take secrets out of an error and of what led to it, before it is kept, logged and sent to Flower.

    Args:
        error: its arguments are changed in place; an error that keeps its words elsewhere stays as it is.
        values: the secrets.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error] if values else []
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        with suppress(Exception):  # one of a class that keeps no arguments
            one.args = tuple(cleared(part, values=values) if isinstance(part, str) else part for part in one.args)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def secrets_of(task: Any) -> list[str]:
    """The values of the secret input of a task that runs here; of none, of a task without, or before it has begun."""
    given = getattr(getattr(task, "request", None), "kwargs", None)
    names = getattr(getattr(task, "contract", None), "secrets", ())
    return [text for name in names for text in texts(given.get(name))] if isinstance(given, dict) else []


def texts(value: Any) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
