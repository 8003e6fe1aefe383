"""Keeps the parts of a stack running: a part that dies is started again, with a growing pause.

It watches processes, not work: whether the work gets done is what the ledger and `anp status` tell.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from celery_anp.errors import AnpError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
#: A part that ran this long has recovered: its next death is a new story.
RECOVERED_AFTER = 60.0


class Part(Protocol):
    """What can be supervised: a `Service`, or an embedded Redis."""

    @property
    def alive(self) -> bool: ...

    def start(self) -> object: ...

    def stop(self, grace: float) -> None: ...


@dataclass
class _Watched:
    part: Part
    deaths: int = 0
    started: float = field(default_factory=time.monotonic)
    start_at: float | None = None


class Supervisor:
    """Watches the parts that were added to it."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def add(self, name: str, part: Part) -> None:
        """Start a part and watch it from now on."""
        self._watched[name] = _Watched(part)
        part.start()

    def watch(self) -> list[str]:
        """Look at each part once; start again what is dead and has waited its pause.

        Returns:
            What is wrong, one sentence each; empty when all is well.
        """
        return [said for name, watched in self._watched.items() if (said := self._look(name, watched))]

    def remove(self, name: str, grace: float) -> None:
        """Stop a part and forget it; does nothing for one that is not watched."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.part.stop(grace)

    def _look(self, name: str, watched: _Watched) -> str:
        now = time.monotonic()
        if watched.part.alive:
            if watched.deaths and now - watched.started > RECOVERED_AFTER:
                watched.deaths = 0
            return _restarted(name, watched.deaths)
        if watched.start_at is None:
            watched.start_at = now + pause(watched.deaths)
            watched.deaths += 1
        if now < watched.start_at:
            return f"{name} died; it starts again in {watched.start_at - now:.0f} s"
        watched.start_at = None
        watched.started = now
        return _start_again(name, watched)


def pause(deaths: int) -> float:
    """Seconds to wait before a part is started again.

    Args:
        deaths: how often it had died before, without a recovery.
    """
    return float(min(FIRST_PAUSE * 2.0**deaths, LONGEST_PAUSE))


def _restarted(name: str, deaths: int) -> str:
    times = "once" if deaths == 1 else f"{deaths} times"
    return f"{name} died {times} and was started again" if deaths else ""


def _start_again(name: str, watched: _Watched) -> str:
    try:
        watched.part.start()
    except AnpError as error:
        return f"{name} died and could not be started again: {error}"
    return _restarted(name, watched.deaths)
