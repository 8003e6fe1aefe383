"""Durations as people write them: "30s", "5m", "1h30m", "2d". Whole seconds only."""

from __future__ import annotations

import re

LONGEST = 3660 * 86_400
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_WRITTEN = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
EXPECTED = 'a duration in whole seconds, at most ten years, such as "30s", "5m", "1h30m" or "2d"'


def seconds(value: object) -> int:
    """The length of a duration.

    Args:
        value: a text such as "1h30m", or a whole number of seconds.

    Returns:
        Whole seconds, 0 or more.

    Raises:
        ValueError: the value is neither; the message says what was expected.
    """
    length = _parsed(value)
    if length is None or not 0 <= length <= LONGEST:
        raise ValueError(EXPECTED)
    return length


def _parsed(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        return None
    return sum(int(count or 0) * size for count, (_, size) in zip(found.groups(), _UNITS, strict=True))


def text(length: int) -> str:
    """A duration as `seconds` reads it.

    Args:
        length: whole seconds, 0 or more.

    Returns:
        The shortest text: 90 is "1m30s", 0 is "0s".
    """
    parts = []
    for unit, size in _UNITS:
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
