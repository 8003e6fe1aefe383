"""Many runs ended with one command: how many are meant, whether that is meant, and then a batch at a time.

Safe to interrupt and to do again: each batch is one script, and what is ended is not met a second time.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence

import typer

from celery_anp.cli import printing
from celery_anp.cli.schedules.overrides import seconds_of, time_of
from celery_anp.errors import BadUsage
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.reader import states_of
from celery_anp.reliability.records import Filter
from celery_anp.reliability.run import FINAL

#: What is meant where no state is named: what has not begun, or waits to go on.
WAITING = "queued,delayed,blocked"
#: Runs of one script; seconds between two words of how far it is.
BATCH, WORD_EVERY = 200, 2.0
_RATE = re.compile(r"(\d{1,6})(?:/([smh]))?")


def chosen(found: Ledger, *, state: str, task: str, schedule: str, queue: str, since: str, until: str) -> Filter:
    """What the options mean.

    Args:
        found: the ledger, for its clock.
        state: with commas between several.
        task: name of a task.
        schedule: name of a schedule.
        queue: name of a queue.
        since: a time, or a duration before now.
        until: the same.

    Raises:
        BadUsage: one cannot be read, or nothing says which runs are meant.
    """
    if not any((state, task, schedule, queue, since, until)):
        raise BadUsage(
            "Nothing says which runs are meant",
            expected="a run's id, or --state, --task, --schedule, --queue, --since, --until",
        )
    states = states_of(state or WAITING)
    if ended := states & FINAL:
        raise BadUsage("--state cannot be used", expected="states of runs that go on", given=", ".join(sorted(ended)))
    now = found.now()
    return Filter(states, task, schedule, queue, when(since, "--since", now), when(until, "--until", now))


def when(text: str, option: str, now: int) -> int | None:
    """A time (ms) that an option gives: `2026-11-21T21:55:00Z`, or `2h` before now."""
    if not text:
        return None
    if re.fullmatch(r"[\ddhms]+", text):
        return now - seconds_of(text, option) * 1000
    return int(time_of(text, option).timestamp() * 1000)


def a_second(text: str) -> float:
    """A rate such as `50/s`, `3000/m` or `50` as runs a second; 0 for none.

    Raises:
        BadUsage: it cannot be read, or is nothing.
    """
    if not text:
        return 0.0
    said = _RATE.fullmatch(text)
    if not said or int(said[1]) == 0:
        raise BadUsage(
            "--rate cannot be read", expected="runs a second, minute or hour: 50/s, 3000/m", given=repr(text)
        )
    return int(said[1]) / {"s": 1, "m": 60, "h": 3600}[said[2] or "s"]


def confirm(count: int, *, yes: bool, ask: bool) -> None:
    """Whether it is meant.

    Args:
        count: how many runs it is about.
        yes: the command line says so.
        ask: somebody can be asked.

    Raises:
        BadUsage: nobody can be asked, and it is not said.
        typer.Exit: it is not meant.
    """
    if yes or not count:
        return
    if not ask or not sys.stdin.isatty():
        raise BadUsage(
            f"{count} runs would be cancelled, and nobody can be asked whether that is meant", expected="--yes"
        )
    if not typer.confirm(f"Cancel {count} runs?"):
        raise typer.Exit(1)


def cancel(found: Ledger, ids: Sequence[str], states: frozenset[str], by: str, note: str, rate: float) -> int:
    """Cancel runs, a batch at a time.

    Args:
        found: the ledger.
        ids: the runs.
        states: a run that is in none of them any more is left alone.
        by: who asks.
        note: why.
        rate: runs a second at most; 0 for as fast as it goes.

    Returns:
        How many were cancelled.

    Raises:
        typer.Exit: it was interrupted.
    """
    size = min(BATCH, max(1, int(rate))) if rate else BATCH
    done, began, said = 0, time.monotonic(), time.monotonic()
    try:
        for start in range(0, len(ids), size):
            time.sleep(max(0.0, began + start / rate - time.monotonic()) if rate else 0.0)
            done += found.cancel(ids[start : start + size], states, by, note)
            if time.monotonic() - said > WORD_EVERY:
                said = time.monotonic()
                printing.note(f"{min(start + size, len(ids))} of {len(ids)}")
    except KeyboardInterrupt:
        printing.note(f"stopped: {done} of {len(ids)} runs are cancelled; the same command goes on with the others")
        raise typer.Exit(1) from None
    return done
