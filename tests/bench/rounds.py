"""Measurements in turns, so that what the machine does meanwhile hits every side alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

#: The sides by name; each does its work once and returns its figure.
Sides = Mapping[str, Callable[[], float]]


def in_turns(sides: Sides, rounds: int) -> dict[str, list[float]]:
    """Measure each side once a round, in an order that turns: A B C, B C A, …

    Args:
        sides: what to measure.
        rounds: how often.

    Returns:
        The figures of each side, one a round.
    """
    names = list(sides)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            figures[name].append(sides[name]())
    return figures


def spread(ours: list[float], theirs: list[float]) -> str:
    """The lowest and the highest ratio of the rounds; figures are rates."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{min(ratios):.2f}-{max(ratios):.2f}"


def middle(figures: list[float]) -> float:
    """The median."""
    return float(median(figures))


def rate(count: int, work: Callable[[int], object]) -> float:
    """How many times a second something can be done, one after the other."""
    began = time.perf_counter()
    for number in range(count):
        work(number)
    return count / (time.perf_counter() - began)
