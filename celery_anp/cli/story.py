"""A run told to a person."""

from __future__ import annotations

from typing import Any

from celery_anp.cli import printing
from celery_anp.reliability.run import Run

#: Told apart from the other fields.
APART = frozenset({"history", "undo", "unreadable"})
#: States that need somebody's look.
BAD = frozenset({"failed", "rollback_failed", "quarantined", "parked", "expired", "rolled_back"})


def tell_state(run: Run, *, json: bool) -> None:
    """Print where a run stands that goes on by itself."""
    if json:
        printing.as_json(run.public())
    else:
        printing.say(f"{run.run_id} is {run.state}; `anp runs show '{run.run_id}'` tells how it goes on")


def outcome(run: Run) -> str:
    """What came of a run, in one line.

    Args:
        run: any run.

    Returns:
        Its error, else its result, else its progress; empty if there is none yet.
    """
    if run.error:
        return f"{run.error.get('type', 'error')}: {run.error.get('message', '')}"
    if run.result is None:
        return run.progress or ""
    if isinstance(run.result, dict):
        return ", ".join(f"{name} {printing.short(value, 24)}" for name, value in run.result.items())
    return printing.short(run.result)


def complaint(run: Run) -> str:
    """What is wrong with how a run ended, or an empty string.

    Args:
        run: any run.
    """
    if run.state in BAD:
        why = run.reason or (run.error or {}).get("message", "")
        return f"{run.run_id} is {run.state}" + (f": {printing.short(why, 200)}" if why else "")
    if run.as_expected is False:
        return f"{run.run_id} ended, but its expected result was not met"
    return ""


def tell(run: Run) -> None:
    """Print what a run is, each change of its state, and what can be undone."""
    known: dict[str, Any] = {
        name: value for name, value in run.public().items() if name not in APART and value is not None
    }
    if run.unreadable:
        known["unreadable"] = ", ".join(run.unreadable)
    printing.fields({name: printing.short(value, 2000) for name, value in known.items()})
    if run.history:
        printing.say("\nwhat happened")
        lines = [(printing.clock(s.time), s.before, s.after, s.node, s.reason) for s in run.history]
        printing.table(("time", "from", "state", "node", "reason"), lines)
    if run.undo:
        printing.say("\nwhat can be undone")
        entries = [(e.name, e.attempt, e.outcome, e.note, printing.short(e.data, 200)) for e in run.undo]
        printing.table(("entry", "attempt", "outcome", "note", "data"), entries)
