"""The ways to run WordPress' own code. What they answer makes messages better; whether it worked is seen in SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Told:
    """What WordPress' code said about a piece of work."""

    #: `done`, `busy`, `refused`, `failed` or `gone`; empty when it did not answer.
    state: str
    #: Why, in words.
    why: str
    #: Whether the process that did it has certainly ended.
    ended: bool
    #: All of its answer.
    data: dict[str, Any] = field(default_factory=dict)


class Way(Protocol):
    """Runs a piece of work of `anp.php` inside WordPress."""

    def ask(self, job: dict[str, Any], *, limit: float, stop: Callable[[], bool] = ...) -> Told:
        """Have it done, and wait for its end.

        Args:
            job: `do` and what it needs, as anp.php reads it.
            limit: seconds after which it is ended, or not waited for any more.
            stop: asked again and again; True ends it early.

        Raises:
            BadSetting: it cannot be started like this.
        """
