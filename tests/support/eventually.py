"""Waiting for a condition with a deadline: the only way a test here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks; short, so that a test is as quick as what it waits for.
PAUSE = 0.02


def eventually(check: Callable[[], T], timeout: float = 10, what: str = "") -> T:
    """Look again and again until the check holds.

    Args:
        check: called until what it returns is truthy; an exception counts as "not yet".
        timeout: seconds until it is given up; the check is always called at least once.
        what: what is waited for, as it shall stand in the failure.

    Returns:
        What the check returned when it held.

    Raises:
        AssertionError: it did not hold in time; says what, and the last value or exception.
    """
    deadline = time.monotonic() + timeout
    cause: Exception | None
    while True:
        try:
            value = check()
        except Exception as error:
            last, cause = f"raised {type(error).__name__}: {error}", error
        else:
            if value:
                return value
            last, cause = f"was {value!r}", None
        if time.monotonic() >= deadline:
            name = what or getattr(check, "__qualname__", repr(check))
            raise AssertionError(f"not within {timeout:g} s: {name}; the last look {last}") from cause
        time.sleep(PAUSE)
