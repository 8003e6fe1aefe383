"""What is wrong with a declaration. All of it is told at once: one start, one list, one round of mending."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from celery_anp import wording
from celery_anp.beat.schedule import NOT_DECLARED, Schedule
from celery_anp.errors import BadDeclaration, LostSchedules, did_you_mean

KEYS = tuple(name for name in Schedule.model_fields if name not in NOT_DECLARED)
_NAME = "at most 200 characters that can be seen, without @ # | ? % and the backslash, not beginning with -"
_PATTERNS = {
    "name": _NAME,
    "renamed_from": _NAME,
    "queue": "at most 200 characters that can be seen, without blanks and |",
    "ping_url": 'an address such as "https://hc-ping.com/…"',
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    #: The file, or `beat_schedule`.
    file: str
    #: The entry: its name, or its place in the file; empty for the file itself.
    entry: str
    #: What is wrong, with a hint if there is one.
    failed: str
    #: What would have been right.
    expected: str = ""
    #: What was found instead.
    given: str = ""
    #: Nothing is wrong but that schedules are gone.
    lost: bool = False

    def __str__(self) -> str:
        end = "" if self.failed.endswith("?") else "."
        parts = [f"{self.where}: {self.failed.removesuffix('.')}{end}"]
        parts += [f"Expected: {self.expected}."] if self.expected else []
        parts += [f"Given: {self.given}."] if self.given else []
        return " ".join(parts)

    @property
    def where(self) -> str:
        """File and entry."""
        return f'{self.file}, schedule "{self.entry}"' if self.entry else self.file


def from_validation(file: str, entry: str, error: ValidationError) -> list[Problem]:
    """The problems that a model found.

    Args:
        file: where the entry stands.
        entry: its name.
        error: what pydantic raised.

    Returns:
        One problem for each field that cannot be used.
    """
    return [_of_field(file, entry, dict(found)) for found in error.errors(include_url=False)]


def _of_field(file: str, entry: str, found: dict[str, Any]) -> Problem:
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return unknown_key(file, entry, key)
    if found["type"] == "missing":
        return Problem(file, entry, f"{key} is missing", expected=f'{key} = "…"')
    if found["type"] == "string_pattern_mismatch":
        expected = _PATTERNS.get(key, found["msg"])
    else:
        expected = found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return Problem(file, entry, f"{key} cannot be used", expected=expected, given=shown(found["input"]))


def unknown_key(file: str, entry: str, key: str) -> Problem:
    """The problem of a key that no schedule has.

    Args:
        file: where the entry stands.
        entry: its name.
        key: the key.

    Returns:
        The problem, with the nearest keys.
    """
    return Problem(file, entry, f"{key} is not a key of a schedule.{did_you_mean(key, KEYS)}")


def shown(value: object) -> str:
    """A value as a message shows it.

    Args:
        value: what was given.

    Returns:
        Its repr, of which 120 bytes are kept.
    """
    return "nothing" if value is None else wording.shown(value, 120)


def refusal(problems: Sequence[Problem]) -> BadDeclaration:
    """One error for all of them.

    Args:
        problems: at least one.

    Returns:
        The error to raise; a `LostSchedules` where all that is wrong is that files are empty or gone.
    """
    kind = LostSchedules if all(problem.lost for problem in problems) else BadDeclaration
    if len(problems) == 1:
        only = problems[0]
        return kind(f"{only.where}: {only.failed}", expected=only.expected, given=only.given)
    return kind(f"{len(problems)} things are wrong in the schedules:\n{_listed(problems)}")


def _listed(problems: Iterable[Problem]) -> str:
    return "\n".join(f"- {problem}" for problem in problems)
