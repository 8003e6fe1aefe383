"""Reads PHP's serialised format as far as plain data goes: null, booleans, numbers, strings and arrays.

Read only and strict. Objects, references and custom formats are refused: nothing here makes anything but dict, bytes,
int, float, bool and None, and a text that is cut off or goes on after its end is no value. Lengths are bytes.
The format is PHP's own: https://www.php.net/manual/en/function.serialize.php
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery_anp.errors import AnpError

Key = int | bytes
Value = None | bool | int | float | bytes | dict[Key, "Value"]

#: Arrays in arrays; PHP itself allows 4096.
DEPTH = 64
_INT = re.compile(rb"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?INF|NAN")
_REFUSED = {
    b"O": "an object", b"C": "an object with a format of its own", b"E": "an enumeration",
    b"R": "a reference", b"r": "a reference", b"S": "an escaped string",
}  # fmt: skip


class NotSerialized(AnpError):
    """A text is not PHP-serialised plain data."""

    retry_safe = False


def loads(text: bytes) -> Value:
    """The value of a serialised text.

    Args:
        text: all of it.

    Returns:
        Arrays as dicts in their order, strings as bytes.

    Raises:
        NotSerialized: it is cut off, malformed, too deep, or holds what is no plain data; says where.
    """
    reader = _Reader(text)
    value = reader.value()
    if reader.at != len(text):
        raise reader.wrong("the end of the text", f"{len(text) - reader.at} bytes more")
    return value


class _Reader:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def wrong(self, expected: str, given: str) -> NotSerialized:
        return NotSerialized(f"PHP-serialised data is broken at byte {self.at}", expected=expected, given=given)

    def value(self) -> Value:
        kind = self.text[self.at : self.at + 1]
        if kind in _REFUSED:
            raise self.wrong("plain data", _REFUSED[kind])
        if kind == b"N":
            self.expect(b"N;")
            return None
        reading: dict[bytes, Callable[[], Value]] = {
            b"b": self.boolean,
            b"i": self.integer,
            b"d": self.number,
            b"s": self.string,
            b"a": self.array,
        }
        if kind not in reading:
            raise self.wrong("a value", repr(kind.decode("latin-1")) if kind else "the end of the text")
        self.expect(kind + b":")
        return reading[kind]()

    def expect(self, sign: bytes) -> None:
        found = self.text[self.at : self.at + len(sign)]
        if found != sign:
            given = repr(found.decode("latin-1")) if found else "the end of the text"
            raise self.wrong(repr(sign.decode()), given)
        self.at += len(sign)

    def matching(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.wrong(what, repr(self.text[self.at : self.at + 12].decode("latin-1")))
        self.at = found.end()
        return found[0]

    def boolean(self) -> bool:
        if (digit := self.text[self.at : self.at + 1]) not in (b"0", b"1"):
            raise self.wrong("0 or 1", repr(digit.decode("latin-1")))
        self.at += 1
        self.expect(b";")
        return digit == b"1"

    def integer(self) -> int:
        number = int(self.matching(_INT, "a whole number"))
        self.expect(b";")
        return number

    def number(self) -> float:
        number = float(self.matching(_FLOAT, "a number"))
        self.expect(b";")
        return number

    def length(self) -> int:
        """A count of bytes or entries; more than there are bytes left cannot be true."""
        count = int(self.matching(_INT, "a length"))
        if not 0 <= count <= len(self.text) - self.at:
            raise self.wrong(f"a length up to {len(self.text) - self.at}", str(count))
        return count

    def string(self) -> bytes:
        size = self.length()
        self.expect(b':"')
        found = self.text[self.at : self.at + size]
        self.at += size
        self.expect(b'";')
        return found

    def array(self) -> dict[Key, Value]:
        count = self.length()
        self.expect(b":{")
        found: dict[Key, Value] = {}
        with self._deeper():
            for _ in range(count):
                key = self.key()
                found[key] = self.value()
        self.expect(b"}")
        if len(found) != count:
            raise self.wrong(f"{count} different keys", str(len(found)))
        return found

    def key(self) -> Key:
        kind = self.text[self.at : self.at + 2]
        if kind not in (b"i:", b"s:"):
            given = repr(kind.decode("latin-1")) if kind else "the end of the text"
            raise self.wrong("a key that is a whole number or a string", given)
        self.at += 2
        return self.integer() if kind == b"i:" else self.string()

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > DEPTH:
            raise self.wrong(f"at most {DEPTH} arrays in each other", "more")
        yield
        self.depth -= 1
