"""The border of the ledger: each time, number and name is checked at the call, before it goes into a row.

So whoever reads rows can count on finite times within a century of now, and on names that can be written anywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import Any

from celery_anp.errors import BadUsage
from celery_anp.wording import shown

#: Seconds.
CENTURY = 36_525 * 86_400
#: Characters of a name, and of what an operator says.
NAME, NOTE = 250, 1_000


def seconds(value: Any, what: str, *, least: float = -CENTURY, most: float = CENTURY) -> float:
    """A span of time.

    Args:
        value: an int or a float; a bool, a text, NaN and infinity are none.
        what: its name, for the message.
        least: seconds.
        most: seconds.

    Returns:
        Seconds.

    Raises:
        BadUsage: it is none, or out of range.
    """
    number: Any = value
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= number <= most:
        said = "within a century" if (least, most) == (-CENTURY, CENTURY) else f"from {least:g} to {_text(most)}"
        raise BadUsage(f"{what} cannot be used", expected=f"seconds as an int or a float, {said}", given=shown(value))
    return float(number)


def _text(most: float) -> str:
    return "a century" if most == CENTURY else f"{most:g}"


def moment(value: Any, what: str) -> float:
    """A point in time.

    Args:
        value: a datetime, or a text in ISO 8601; UTC where it has no zone.
        what: its name, for the message.

    Returns:
        Seconds since the epoch.

    Raises:
        BadUsage: it is none, or not within a century of now.
    """
    expected = "a datetime, or a text in ISO 8601, within a century of now"
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    if not isinstance(read, datetime):
        raise BadUsage(f"{what} cannot be read", expected=expected, given=shown(value))
    # as a difference: the first and last days of the calendar have no timestamp in every zone
    away = (read if read.tzinfo else read.replace(tzinfo=UTC)) - (now := datetime.now(UTC))
    if abs(away) > timedelta(seconds=CENTURY):
        raise BadUsage(f"{what} cannot be used", expected=expected, given=shown(value))
    return (now + away).timestamp()


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number.

    Args:
        value: an int; a bool is none.
        what: its name, for the message.
        least: the smallest one.
        most: the largest one.

    Raises:
        BadUsage: it is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        expected = f"a whole number from {least:,} to {most:,}"
        raise BadUsage(f"{what} cannot be used", expected=expected, given=shown(value))
    return value


def name(value: Any, what: str, without: str = "") -> str:
    """A name: of a run, a key, a queue, an operator.

    Args:
        value: a text of characters that can be printed.
        what: its name, for the message.
        without: characters that it must not have.

    Raises:
        BadUsage: it is empty, too long, or no such text.
    """
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= NAME
        or not value.isprintable()
        or set(without) & set(value)
    ):
        but = f" without {' '.join(without)}" if without else ""
        expected = f"1 to {NAME} printable characters{but}"
        raise BadUsage(f"{what} cannot be used", expected=expected, given=shown(value))
    return value


def note(value: Any, what: str = "The note") -> str:
    """What an operator says, which may be nothing.

    Args:
        value: a text; it may have several lines.
        what: its name, for the message.

    Raises:
        BadUsage: it is too long, or holds signs that steer a terminal or are no characters.
    """
    if (
        not isinstance(value, str)
        or len(value) > NOTE
        or not all(sign.isprintable() or sign in "\n\t" for sign in value)
    ):
        expected = f"at most {NOTE:,} printable characters"
        raise BadUsage(f"{what} cannot be used", expected=expected, given=shown(value))
    return value
