"""Random walks through scenes that are too large to search."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.model.canon import packed
from tests.model.invariants import done, harms
from tests.model.moment import Moment, Packed, first
from tests.model.scene import Scene
from tests.model.scenes import EVERY_FAULT, EVERY_REQUEST, STUCK
from tests.model.step import Step
from tests.model.steps import after, steps

#: steps with faults, and steps in all
STORM, LENGTH = 200, 4000

SCENES = [
    Scene(
        f"all at once, overlap {overlap}", runs=3, nodes=2, overlap=overlap, hook=True, effects=2, fails=True,
        retries=1, deadline=True, faults=EVERY_FAULT, budget=6, requests=EVERY_REQUEST, asks=3,
    )
    for overlap in ("skip", "buffer_one", "buffer_all", "cancel_other")
]  # fmt: skip


def walk(scene: Scene, seed: int) -> tuple[str, list[Packed]]:
    """One walk: faults and requests at random first, then none, until nothing is left to do.

    Returns:
        The first harm ("" for none) and the moments on the way.
    """
    chance = random.Random(seed)
    way = [packed(first(replace(scene, symmetric=False)))]
    for number in range(LENGTH):
        here = _here(scene, way[-1], calm=number >= STORM)
        if wrong := harms(here):
            return wrong[0], way
        found = steps(here)
        if done(here) and (number >= STORM or not any(step.chosen for step in found)):
            return "", way
        before = here.pack()
        way.append(after(Moment.unpack(here.scene, before), _pick(chance, found), before))
    return STUCK, way


def _here(scene: Scene, moment: Packed, *, calm: bool) -> Moment:
    here = Moment.unpack(replace(scene, symmetric=False), moment)
    if calm:
        here.budget = here.asks = 0
    return here


def _pick(chance: random.Random, found: list[Step]) -> Step:
    chosen = [step for step in found if step.chosen]
    if chosen and chance.random() < 0.06:
        return chance.choice(chosen)
    calm = [step for step in found if not step.chosen] or found
    work = [step for step in calm if not step.label.endswith(("time passes", "heartbeat"))]
    return chance.choice(work if work and chance.random() < 0.6 else calm)


def walks(count: int, seed: int) -> Iterator[tuple[Scene, int, str, list[Packed]]]:
    """This many walks through each scene, each with its own seed; only those that show a harm."""
    for scene in SCENES:
        for number in range(seed, seed + count):
            harm, way = walk(scene, number)
            if harm:
                yield scene, number, harm, way
