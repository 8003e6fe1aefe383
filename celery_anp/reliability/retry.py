"""When a failed run is tried again. A pure decision: failure and count in, time or end out."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from numbers import Real

from celery_anp.bounds import CENTURY
from celery_anp.errors import AnpError, BadDeclaration
from celery_anp.wording import name_of, shown


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when a failed attempt is tried again.

    Raises:
        BadDeclaration: a number that cannot be right.
    """

    #: Tries after the first one.
    max: int = 0
    #: Seconds before the first of them.
    first: float = 2.0
    #: Each pause is this many times the one before.
    factor: float = 2.0
    #: No pause is longer, in seconds.
    ceiling: float = 600.0
    #: Part of the pause that chance may add or take away.
    jitter: float = 0.1
    #: Exceptions that are worth another try.
    on: tuple[type[BaseException], ...] = (Exception,)
    #: Exceptions that are not, whatever `on` says.
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        checks = (
            ("max", lambda most: isinstance(most, int) and most >= 0, "a whole number, 0 or more"),
            ("first", lambda first: 0 <= first <= CENTURY, "0 seconds or more"),
            ("factor", lambda factor: 1 <= factor < math.inf, "1 or more"),
            ("ceiling", lambda ceiling: self.first <= ceiling <= CENTURY, "at least `first`, at most a century"),
            ("jitter", lambda jitter: 0 <= jitter < 1, "from 0 to below 1"),
        )
        for name, fits, expected in checks:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
                raise BadDeclaration(f"Retries: {name} cannot be used", expected=expected, given=shown(value))


#: When a run that had itself put back, as Celery's `Reject(requeue=True)` asks, comes again: for a quarter of an hour.
PUT_BACK = Retries(max=20, first=1.0, ceiling=60.0, jitter=0)


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay` seconds."""

    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again."""

    reason: str


def decide(policy: Retries, error: BaseException, failures: int, chance: float | None = None) -> Again | GiveUp:
    """What follows a failed attempt.

    Exponential backoff with a ceiling, spread by jitter so that what failed together does not come back together.

    Args:
        policy: the task's retries.
        error: what the body raised.
        failures: failed attempts before this one.
        chance: a number from 0 to 1 in place of a random one.

    Returns:
        When to try again, or why not.
    """
    name = name_of(error)
    if isinstance(error, AnpError) and error.retry_safe is False:
        return GiveUp(f"{name}: trying again will not help")
    if isinstance(error, policy.never) or not isinstance(error, policy.on):
        return GiveUp(f"{name} is not retried")
    if failures >= policy.max:
        return GiveUp(f"{name} after {failures + 1} attempts" if policy.max else f"{name}, and the task has no retries")
    # The exponent is capped: a large count must not overflow a float.
    pause = min(policy.first * policy.factor ** min(failures, 64), policy.ceiling)
    spread = 1 + policy.jitter * (2 * (random.random() if chance is None else chance) - 1)  # noqa: S311 - not a secret
    return Again(pause * spread, f"{name}, retry {failures + 1} of {policy.max}")
