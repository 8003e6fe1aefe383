"""Through which of our files one piece of work goes, and how often it steps from one into another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
#: Where our own code is; what tests and libraries do is not counted.
OURS = tuple(f"{ROOT / room}/" for room in ("celery_anp", "worker"))


@dataclass
class Way:
    """What was seen."""

    #: Our files by what they are in the repository, in the order in which they were first entered.
    files: list[str] = field(default_factory=list)
    #: Calls of a function of ours from another file of ours, whatever of a library lies between.
    hops: int = 0
    #: Calls of our functions.
    calls: int = 0


def way_of(work: Callable[[], object]) -> Way:
    """Do a piece of work in this thread, and see its way.

    Args:
        work: what to do; done before, so that nothing is imported or made for the first time.
    """
    seen, stack = Way(), [""]

    def look(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if not file.startswith(OURS):
            return
        if event == "call":
            place = file.removeprefix(f"{ROOT}/")
            seen.calls += 1
            seen.hops += stack[-1] not in {"", place}
            seen.files += [] if place in seen.files else [place]
            stack.append(place)
        elif event == "return" and len(stack) > 1:
            stack.pop()

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen
