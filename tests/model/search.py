"""Breadth first through every interleaving: what is found first is a shortest way there."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field

from tests.model.canon import packed
from tests.model.invariants import done, harms
from tests.model.moment import Moment, Packed, first
from tests.model.scene import Scene
from tests.model.steps import after, steps

STUCK = "stuck for ever"


@dataclass
class Found:
    """What one search saw."""

    scene: Scene
    moments: list[Packed] = field(default_factory=list)
    #: the moment that each was reached from first
    parents: array[int] = field(default_factory=lambda: array("l", [-1]))
    #: harm -> the first moment that shows it
    harms: dict[str, int] = field(default_factory=dict)
    #: every moment within the bounds was seen
    whole: bool = False
    seconds: float = 0.0

    def way(self, moment: int) -> list[Packed]:
        """The moments from the first to this one."""
        path = []
        while moment >= 0:
            path.append(self.moments[moment])
            moment = self.parents[moment]
        return path[::-1]


@dataclass
class _Graph:
    """Which moments follow which by themselves, without a further fault or request."""

    starts: array[int] = field(default_factory=lambda: array("l"))
    nexts: array[int] = field(default_factory=lambda: array("l"))
    done: list[bool] = field(default_factory=list)


def search(scene: Scene, *, until: str = "", cap: int = 2_000_000, seconds: float = 600.0) -> Found:
    """Looks at every moment of a scene.

    Args:
        scene: where to start, and what may happen.
        until: stop at the first moment that shows this harm; "" to look at all.
        cap: moments after which to give up.
        seconds: time after which to give up.

    Returns:
        The harms found, each with a shortest way to it.
    """
    found, graph, began = Found(scene), _Graph(), time.monotonic()
    numbers = {packed(first(scene)): 0}
    found.moments.extend(numbers)
    for number, moment in enumerate(found.moments):  # grows while it is walked
        if len(numbers) > cap or (number % 512 == 0 and time.monotonic() - began > seconds):
            break
        _look(found, number, moment)
        if until in found.harms:
            break
        _expand(found, graph, numbers, number, moment)
    else:
        found.whole = True
        _stuck(found, graph)
    found.seconds = time.monotonic() - began
    return found


def _look(found: Found, number: int, moment: Packed) -> None:
    for harm in harms(Moment.unpack(found.scene, moment)):
        found.harms.setdefault(harm, number)


def _expand(found: Found, graph: _Graph, numbers: dict[Packed, int], number: int, moment: Packed) -> None:
    here = Moment.unpack(found.scene, moment)
    graph.starts.append(len(graph.nexts))
    graph.done.append(done(here))
    for step in steps(here):
        there = after(Moment.unpack(found.scene, moment), step, moment)
        known = numbers.setdefault(there, len(found.moments))
        if known == len(found.moments):
            found.moments.append(there)
            found.parents.append(number)
        if not step.chosen and known != number:
            graph.nexts.append(known)


def _stuck(found: Found, graph: _Graph) -> None:
    """From every moment the end must be within reach, without a further fault."""
    good, starts = graph.done, [*graph.starts, len(graph.nexts)]
    changed = True
    while changed:
        changed = False
        for number in range(len(good) - 1, -1, -1):
            if not good[number] and any(good[n] for n in graph.nexts[starts[number] : starts[number + 1]]):
                good[number] = changed = True
    if False in good:
        found.harms.setdefault(STUCK, good.index(False))
