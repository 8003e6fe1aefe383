"""What is told of a value that may refuse to be told: an exception whose `__str__` raises, half a letter, megabytes.

Whatever is kept of a body's error or result goes through here, so that no ending is lost over its words.
"""

from __future__ import annotations

import json
import traceback

#: Bytes of a name of a class.
NAME = 200
_name = type.__dict__["__name__"]


def name_of(value: object) -> str:
    """The name of a value's class."""
    return cut(_name.__get__(type(value)), NAME)


def words(value: object, most: int) -> str:
    """What a value says of itself, as text that any reader takes.

    Args:
        value: anything, such as an exception.
        most: bytes that are kept of it, as JSON writes them.

    Returns:
        Its words; a sentence in their place where it has none.
    """
    try:
        return cut(str(value), most)
    except Exception as error:
        return cut(f"({name_of(value)} cannot say what it is: its __str__ raised {name_of(error)})", most)


def shown(value: object, most: int = 80) -> str:
    """A value in a message, as Python writes it.

    Args:
        value: anything.
        most: bytes that are kept of it, as JSON writes them; at least 10.

    Returns:
        It, with … at its end where it is longer; a sentence in its place where it cannot be written.
    """
    try:
        text = repr(value)
    except Exception as error:  # its own __repr__, or a number of too many digits
        text = f"({name_of(value)} cannot be shown: its __repr__ raised {name_of(error)})"
    kept = cut(text, most)
    return kept if len(kept) >= len(text) else cut(text, most - len(json.dumps("…")) + 2) + "…"


def cut(text: str, most: int) -> str:
    """The beginning of a text. Half a letter, as in the name of a file that is no UTF-8, is written out: `\\udce9`.

    Args:
        text: any string, of a class of its own too.
        most: bytes that are kept of it, as JSON writes them.
    """
    kept = _whole(str.__getitem__(text, slice(most)))
    while (size := len(json.dumps(kept)) - 2) > most:
        kept = kept[: len(kept) * most // size]
    return kept


def end_of(text: str, most: int) -> str:
    """The end of a text, as `cut` keeps its beginning."""
    kept = _whole(text[-most:])
    while (size := len(json.dumps(kept)) - 2) > most:
        kept = kept[len(kept) - len(kept) * most // size :]
    return kept


def trace(error: BaseException, most: int) -> str:
    """The end of an exception's traceback, with those that led to it.

    Args:
        error: the exception.
        most: bytes that are kept of it, as JSON writes them.
    """
    try:
        return end_of("".join(traceback.format_exception(error)), most)
    except Exception as failed:
        return f"({name_of(error)} has no traceback that can be told: {name_of(failed)})"


def speaks(error: BaseException) -> bool:
    """Whether an exception lets itself be asked what Celery asks of one."""
    try:
        return isinstance(str(error), str) and isinstance(repr(error), str) and bool(error) in (True, False)
    except Exception:
        return False


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
