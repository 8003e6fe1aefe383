"""How one setting is read: a text becomes a value, or is refused in words that say what was expected.

Written by hand and not with pydantic, whose import alone costs more than `anp health` may; the words are pydantic's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

Value = TypeVar("Value", int, float)


class Secret:
    """A text that is not shown by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')" if self._text else "Secret('')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Setting:
    """One setting of a class of settings.

    Args:
        default: its value where nobody gives one.
        read: makes the value of what is given; a ValueError says what it expected.
    """

    def __init__(self, default: object, read: Callable[[Any], object]) -> None:
        self.default = default
        self.read = read


def text(default: str = "", pattern: str = "") -> Any:
    """A text, which may have to match a pattern as a whole."""

    def read(given: object) -> str:
        if not isinstance(given, str):
            raise ValueError("Input should be a valid string")  # noqa: TRY004  as for every other value
        if pattern and not re.fullmatch(pattern, given):
            raise ValueError(f"String should match pattern '{pattern}'")
        if not given.isprintable():
            raise ValueError("text in UTF-8 that can be printed, on one line")
        return given

    return Setting(default, read)


def secret() -> Any:
    """A text that is not shown; empty where nobody gives one."""
    return Setting(Secret(), lambda given: given if isinstance(given, Secret) else Secret(str(given)))


def url(default: str, *schemes: str) -> Any:
    """An address of one of some schemes; it may only be empty where that is the default."""

    def read(given: object) -> str:
        return "" if given == default == "" else _place(known_scheme(str(given), schemes))

    return Setting(default, read)


def known_scheme(address: str, schemes: tuple[str, ...]) -> str:
    """A URL whose scheme is one of some; a ValueError says which."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in schemes or not rest:
        raise ValueError(f"a URL that begins with {' or '.join(s + '://' for s in schemes)}")
    return address


def _place(address: str) -> str:
    """A URL in which it can be told where the server's name and port stand; sentinels have several."""
    if address.startswith(("redis://", "rediss://")):
        try:
            urlsplit(address).port  # noqa: B018  it raises
        except ValueError:
            expected = "a URL with a port that is a number, and with %2F for a / in a password, %40 for an @ and so on"
            raise ValueError(expected) from None
    return address


def site(default: str) -> Any:
    """The address of a site, without the slash at its end."""
    return Setting(default, lambda given: known_scheme(str(given), ("http", "https")).rstrip("/") if given else "")


def number(default: float, *, ge: float | None = None, gt: float | None = None, le: float | None = None) -> Any:
    """A number within bounds."""

    def read(given: Any) -> float:
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise ValueError("Input should be a valid number, unable to parse string as a number") from None
        return _within(value, ge, gt, le)

    return Setting(default, read)


def whole(default: int, *, ge: int | None = None, le: int | None = None) -> Any:
    """A whole number within bounds."""

    def read(given: Any) -> int:
        try:
            value = int(re.sub(r"\.0+$", "", str(given).strip()))
        except ValueError:
            raise ValueError("Input should be a valid integer, unable to parse string as an integer") from None
        return _within(value, ge, None, le)

    return Setting(default, read)


def one_of(*words: str) -> Any:
    """One of some words; the first where nobody gives one."""

    def read(given: object) -> object:
        if given not in words:
            *others, last = (repr(word) for word in words)
            raise ValueError(f"Input should be {', '.join(others)} or {last}")
        return given

    return Setting(words[0], read)


def commas() -> Any:
    """Words with commas between them; none where nobody gives any."""

    def read(given: Any) -> tuple[str, ...]:
        parts = given.split(",") if isinstance(given, str) else given
        return tuple(part.strip() for part in parts if part.strip())

    return Setting((), read)


def path(default: str | None = None) -> Any:
    """A path; an empty text is none where that is the default."""

    def read(given: Any) -> Path | None:
        return Path(given) if given or default is not None else None

    return Setting(default if default is None else Path(default), read)


def readable() -> Any:
    """The path of a file that this user can read, or none."""

    def read(given: Any) -> Path | None:
        if given and not os.access(given, os.R_OK):
            raise ValueError("a file that this user can read")
        return Path(given) if given else None

    return Setting(None, read)


def _within(value: Value, ge: float | None, gt: float | None, le: float | None) -> Value:
    """A bound that is not met is named; a number that is none meets no bound."""
    for bound, met, words in (
        (ge, ge is None or value >= ge, "greater than or equal to"),
        (gt, gt is None or value > gt, "greater than"),
        (le, le is None or value <= le, "less than or equal to"),
    ):
        if not met:
            raise ValueError(f"Input should be {words} {bound}")
    return value
