"""The one table that all benchmarks print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One measurement beside what it is compared with.

    Args:
        what: what was measured.
        ours: anp's figure.
        theirs: the other's figure, or None where there is none.
        unit: of both.
        against: who the other is.
        better: whether a larger or a smaller figure is better.
        target: what the ratio (or, without another, the figure) shall reach; None where nothing is promised.
        spread: how far the ratio went from round to round, e.g. `0.95-1.08`.
    """

    what: str
    ours: float
    theirs: float | None = None
    unit: str = ""
    against: str = "plain Celery"
    better: str = "larger"
    target: float | None = None
    spread: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the other: more than 1 is better, whichever way the unit goes."""
        if not self.theirs or not self.ours:
            return None
        return self.ours / self.theirs if self.better == "larger" else self.theirs / self.ours

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        if self.ratio is not None:
            return "met" if self.ratio >= self.target else "MISSED"
        return "met" if (self.ours <= self.target) == (self.better == "smaller") else "MISSED"

    def cells(self) -> list[str]:
        """The line as the table shows it."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        theirs = "" if self.theirs is None else f"{number(self.theirs)} {self.against}"
        return [
            self.what, f"{number(self.ours)} {self.unit}".strip(), theirs, ratio, self.spread,
            "" if self.target is None else f"{self.target:.3g}", self.verdict,
        ]  # fmt: skip


HEAD = ["measured", "anp", "beside", "better by", "spread", "target", ""]


def number(value: float) -> str:
    """A figure with three places that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(lines: Iterable[Line]) -> str:
    """The table as Markdown, so that it can be put in a note as it is."""
    rows = [HEAD, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])
