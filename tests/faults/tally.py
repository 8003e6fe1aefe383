"""What a storm has left: counts from the rows of the ledger and the lines of the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from celery_anp.reliability.run import Run, tick_id
from tests.faults.bodies import ENTRIES, Deaths, Ended
from tests.faults.canvases import Canvases
from tests.faults.storm import LEFT, Strike
from tests.faults.verdict import overlaps, wrong
from tests.support.journal import Line

#: Faults that end or stop a process. What an outage of Redis or a cut link ends, its node tells in its log.
DEADLY = ("kill -9", "SIGSTOP", LEFT)
#: Seconds until the storm notices that a process has left by itself.
NOTICED = 1.0


@dataclass(frozen=True)
class Tally:
    """The figures of a storm."""

    expected: int
    canvases: int
    run: int
    given_up: int
    lost: list[str]
    doubled: list[str]
    overlaps: list[str]
    refused: int
    repeated: int
    recovery: list[float]
    #: Those after a worker was killed whose death was proved, and those for which nobody could see it.
    proved: list[float]
    waited: list[float]

    @property
    def good(self) -> bool:
        """Nothing lost, nothing doubled, no lock with two holders."""
        return not (self.lost or self.doubled or self.overlaps)

    def __str__(self) -> str:
        figures = [
            ("ticks expected", self.expected), ("runs of canvases expected", self.canvases),
            ("run", self.run), ("given up, told", self.given_up),
            ("lost", len(self.lost)), ("doubled", len(self.doubled)), ("lock overlaps", len(self.overlaps)),
            ("late writes refused", self.refused), ("effects repeated after a loss", self.repeated),
            ("recoveries", len(self.recovery)),
            ("recovery p50/p95/max", _spread(self.recovery)),
            (f"{len(self.proved)} workers' deaths proved", _spread(self.proved)),
            (f"{len(self.waited)} waited for", _spread(self.waited)),
        ]  # fmt: skip
        return "\n".join(f"{name:<32}{value:>8}" for name, value in figures)


def tally(
    ticks: Mapping[str, int],
    runs: Sequence[Run],
    lines: Sequence[Line],
    strikes: Sequence[Strike],
    canvases: Canvases,
    logs: Iterable[str],
) -> Tally:
    """Count.

    Args:
        ticks: seconds between two ticks of each schedule.
        runs: every row.
        lines: the journal.
        strikes: the faults.
        canvases: what was begun beside the schedules.
        logs: what each process said.

    Returns:
        The figures.
    """
    crossed = list(overlaps(lines))
    expected = {tick for name, every in ticks.items() for tick in _expected(name, every, runs)}
    seen = {run.run_id for run in runs}
    lost = [f"{tick} has no row" for tick in sorted(expected - seen)]
    lost += canvases.missing(runs)
    lost += [f"{run.run_id} is {run.state}: {run.reason}" for run in runs if not _ended_well(run)]
    ended = _ended(strikes, Deaths(logs))
    recoveries = list(_recoveries(lines, strikes))
    complaints = [told for told in wrong(runs, lines, late=True, ended=ended) if told not in crossed]
    given_up = [run for run in runs if "quarantined" in {step.after for step in run.history} or _quarantined(run)]
    return Tally(
        expected=len(expected),
        canvases=len(canvases.follows),
        run=sum(run.state in ("succeeded", "rolled_back") for run in runs),
        given_up=len(given_up),
        lost=lost,
        doubled=complaints,
        overlaps=crossed,
        refused=sum(not line["accepted"] for line in lines),
        repeated=sum(bool(line.get("again")) for line in lines),
        recovery=sorted(seconds for _, seconds in recoveries),
        proved=sorted(seconds for what, seconds in recoveries if what == "kill -9 worker"),
        waited=sorted(seconds for what, seconds in recoveries if what == "kill -9 worker elsewhere"),
    )


def _expected(name: str, every: int, runs: Iterable[Run]) -> Iterator[str]:
    times = [int(run.tick.timestamp()) for run in runs if run.schedule == name and run.tick]
    return (tick_id(name, time) for time in range(min(times), max(times) + every, every)) if times else iter(())


def _ended(strikes: Sequence[Strike], told: Deaths) -> Ended:
    """A body was ended where its process was killed or stopped while it ran, or where its own node says so."""
    deadly = [strike for strike in strikes if strike.what.startswith(DEADLY)]

    def ended(entry: Line, later: Line) -> bool:
        who = {entry["pid"], entry["parent"]}
        hit = [strike for strike in deadly if entry["at"] <= strike.at <= later["at"] + NOTICED and who & strike.pids]
        return bool(hit) or told.tell(entry)

    return ended


def _ended_well(run: Run) -> bool:
    return run.state in ("succeeded", "rolled_back")


def _quarantined(run: Run) -> bool:
    return any("took its worker down too often" in step.reason for step in run.history)


def _recoveries(lines: Sequence[Line], strikes: Iterable[Strike]) -> Iterator[tuple[str, float]]:
    """For each strike that ended a body, what it was, and seconds until the run was entered again."""
    closed = {(line["run"], line["fence"]): line["at"] for line in lines if line["event"] == "end"}
    entries = [line for line in lines if line["event"] in ENTRIES]
    following: dict[str, list[Line]] = {}
    for line in entries:
        following.setdefault(line["run"], []).append(line)
    told = Counter[tuple[str, int]]()
    for strike in sorted(strikes, key=lambda strike: -strike.at):  # the last fault before the new attempt counts
        for line in entries:
            body = (line["run"], line["fence"])
            if line["pid"] not in strike.pids or line["at"] > strike.at or body in closed or told[body]:
                continue
            again = [later["at"] for later in following[line["run"]] if later["fence"] > line["fence"]]
            if again and min(again) > strike.at:
                told[body] += 1
                yield strike.what, min(again) - strike.at


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 20
    return f"{cuts[9]:.1f} s / {cuts[18]:.1f} s / {values[-1]:.1f} s"
