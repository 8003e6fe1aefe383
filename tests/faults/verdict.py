"""What must hold whatever died: pure functions over the rows of the ledger and the lines of the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from celery_anp.reliability.run import Run
from tests.faults.bodies import ENTRIES, Ended, entered_too_often, nobody, went_on
from tests.support.journal import Line


def wrong(runs: Iterable[Run], lines: Sequence[Line], *, late: bool, ended: Ended = nobody) -> list[str]:
    """Everything that breaks a promise.

    Args:
        runs: the rows.
        lines: the journal.
        late: whether a refused line is possible: only where a process was stopped.
        ended: tells of the deaths that explain a second body.

    Returns:
        Sentences; empty when all is well.
    """
    found = list(overlaps(lines))
    if not late:
        found += [f"a late line was refused where none can be: {line}" for line in lines if not line["accepted"]]
    for run in runs:
        mine = [line for line in lines if line.get("run") == run.run_id]
        complaints = [*_wrong_with(run, mine), *entered_too_often(run, mine, ended), *went_on(run, mine)]
        found += [f"{run.run_id} ({run.state}): {complaint}" for complaint in complaints]
    return found


def overlaps(lines: Iterable[Line]) -> Iterator[str]:
    """A lock belongs to one run from its first accepted line to its last."""
    holders: dict[str, str] = {}
    ended: dict[str, set[str]] = {}
    for line in lines:
        lock, run = line["lock"], line.get("run")
        if lock is None or run is None or not line["accepted"] or holders.get(lock) == run:
            continue
        if run in ended.setdefault(lock, set()):
            yield f"two holders of {lock}: {run} went on after {holders[lock]} had begun"
        if lock in holders:
            ended[lock].add(holders[lock])
        holders[lock] = run


def _wrong_with(run: Run, lines: list[Line]) -> Iterator[str]:
    if not run.final:
        yield f"it never ended: {run.reason}"
        return
    begun = {line["fence"] for line in lines if line["event"] in ENTRIES}
    newest = run.fence or 0
    if any(fence > newest for fence in begun):
        yield "a body was entered that the ledger does not know of"
    if len(begun) > run.attempts:
        yield f"{len(begun)} bodies for {run.attempts} attempts"
    twice = [fence for fence, count in _entries(lines).items() if count > 1]
    if twice:
        yield f"one attempt was entered twice: {twice}"
    yield from _wrong_effects(run, lines)
    if run.state == "succeeded":
        yield from _wrong_success(run, lines)
    if run.state == "rolled_back":
        yield from _wrong_rollback(run, lines)


def _entries(lines: list[Line]) -> Counter[int]:
    return Counter(line["fence"] for line in lines if line["event"] in ENTRIES)


def _wrong_effects(run: Run, lines: list[Line]) -> Iterator[str]:
    """An effect stands once, and each time it was asked for again is explained by an attempt that was lost."""
    effects = [line for line in lines if line.get("key") and line["accepted"]]
    standing = Counter(line["key"] for line in effects if not line["again"])
    repeats = Counter(line["key"] for line in effects if line["again"])
    for key, count in standing.items():
        if count > 1:
            yield f"{key} stands {count} times"
    explained = run.losses + run.failures + run.rollback_failures
    for key, count in repeats.items():
        if count > explained:
            yield f"{key} was repeated {count} times with {explained} losses and failures"


def _wrong_success(run: Run, lines: list[Line]) -> Iterator[str]:
    last = [line for line in lines if line["fence"] == run.fence and line["accepted"]]
    for event in ("begin", "end"):
        if sum(line["event"] == event for line in last) != 1:
            yield f"its successful attempt has {[line['event'] for line in last]}"
    if any(count != 1 for count in Counter(line["name"] for line in last if line["event"] == "effect").values()):
        yield "an effect happened twice in its successful attempt"
    if any(line["event"] == "undone" for line in lines):
        yield "it succeeded, and yet something was undone"
    if isinstance(run.result, dict) and run.result.get("attempt") != run.attempts:
        yield f"the result of its {run.attempts}. attempt is that of another one: {run.result}"
    if run.attempts != 1 + run.losses + run.failures:
        yield f"{run.attempts} attempts, but {run.losses} losses and {run.failures} failures"


def _wrong_rollback(run: Run, lines: list[Line]) -> Iterator[str]:
    undone = [line["name"] for line in lines if line["event"] == "undone" and line["accepted"] and not line["again"]]
    wanted = [entry.name for entry in reversed(run.undo)]
    # An attempt that was lost leaves its entries too: an entry too many, never one too few.
    if undone != list(dict.fromkeys(wanted)):
        yield f"undone were {undone}, recorded were {wanted}"
    left = [entry.name for entry in run.undo if entry.outcome != "undone"]
    if left:
        yield f"entries without an outcome: {left}"
