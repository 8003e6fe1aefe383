"""The four answers of `anp status`, each a pure function of what was read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from celery_anp.cli.printing import clock
from celery_anp.cli.story import BAD, complaint
from celery_anp.reliability.keyspace import FULL_AT
from celery_anp.reliability.nodes import Node, Unserved
from celery_anp.reliability.records import Memory
from celery_anp.reliability.run import Run, moment

#: Seconds that 95 of 100 runs may start late.
LATE = 30.0
#: Runs that may wait for a worker.
BACKLOG = 1000
#: By how much a new release may be worse: share of failures, and factor of the median runtime.
MORE_FAILURES, SLOWER = 0.05, 1.5
#: Runs of one release below which nothing is said about it.
ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    question: str
    ok: bool
    #: In words.
    said: str
    #: In numbers.
    facts: Mapping[str, Any] = field(default_factory=dict)


def is_it_up(
    redis: str,
    nodes: Sequence[Node],
    site: str,
    memory: Memory | None = None,
    since: int = 0,
    unserved: Sequence[Unserved] = (),
) -> Answer:
    """Whether each part does its work.

    Args:
        redis: why Redis does not, or empty.
        nodes: the living nodes.
        site: why the site does not answer, or empty.
        memory: how much of its memory Redis uses, if it says so.
        since: rows that were dropped for want of memory before this time (ms) are no news.
        unserved: the queues on which runs wait and that nobody serves.
    """
    kinds = Counter(node.kind for node in nodes)
    missing = [f"no {kind} is alive" for kind in ("worker", "beat") if not kinds[kind] and not redis]
    troubled = [f"the beat {node.pid} on {node.host}: {node.news['trouble']}" for node in nodes if _trouble(node)]
    room = want_of_room(memory, since) if memory else ""
    waiting = [want_of_worker(one) for one in unserved]
    wrong = [said for said in (redis, room, *missing, *waiting, *troubled, site) if said]
    facts = {
        "workers": kinds["worker"], "beats": kinds["beat"], "redis": not redis, "site": not site,
        "memory_used": memory and memory.used, "memory_limit": memory and memory.limit,
        "rows_dropped": memory and memory.dropped, "unserved": {one.queue: one.runs for one in unserved},
    }  # fmt: skip
    well = f"Redis, {kinds['worker']} worker and {kinds['beat']} beat answer"
    return Answer("is it up", not wrong, "; ".join(wrong) or well, facts)


def want_of_room(memory: Memory, since: int) -> str:
    """What is wrong with Redis' memory, and what to do; empty if nothing is.

    Args:
        memory: how much is used.
        since: rows that were dropped before this time (ms) are no news.
    """
    if memory.full or memory.share > FULL_AT:
        return (
            f"Redis uses {memory.said()} and nothing new is planned: raise maxmemory, keep fewer rows (ANP_KEEP_ROWS, "
            "ANP_KEEP_FAILED_DAYS), or drop a backlog (`anp runs cancel --state queued,delayed,blocked`)"
        )
    if memory.dropped_at > since:
        return (
            f"Redis uses {memory.said()}, and finished runs were dropped before their time to make room, the last at "
            f"{clock(moment(memory.dropped_at))} ({memory.dropped} in all): raise maxmemory, or keep fewer rows "
            "(ANP_KEEP_ROWS, ANP_KEEP_FAILED_DAYS)"
        )
    return ""


def want_of_worker(one: Unserved) -> str:
    """What waits on a queue that nobody serves, and what to do."""
    since = f" since {clock(moment(one.since))}" if one.since else ""
    runs = "1 run waits" if one.runs == 1 else f"{one.runs} runs wait"
    return (
        f"{runs} on the queue {one.queue!r}, which no living worker serves{since}: start one with `-Q {one.queue}`, or "
        f"`anp runs cancel --queue {one.queue}`"
    )


def is_it_slow(runs: Iterable[Run], backlog: Mapping[str, int]) -> Answer:
    """Whether runs start late or pile up.

    Args:
        runs: recent ones.
        backlog: how many wait, by state.
    """
    late = [run.lateness for run in runs if run.lateness is not None and not _caught_up(run)]
    p95, queued = quantile(late, 0.95), backlog.get("queued", 0)
    wrong = []
    if p95 is not None and p95 > LATE:
        wrong.append(f"5 of 100 ticks start more than {p95:.0f} s late")
    if queued > BACKLOG:
        wrong.append(f"{queued} runs wait for a worker")
    told = "no tick has started lately" if p95 is None else f"95 of 100 ticks start within {p95:.1f} s"
    facts = {"lateness_p50": quantile(late, 0.5), "lateness_p95": p95, **backlog}
    return Answer("is it slow", not wrong, "; ".join(wrong) or f"{told}, {queued} runs wait", facts)


def are_runs_failing(
    runs: Sequence[Run],
    late: Mapping[str, int] = MappingProxyType({}),
    halted: Mapping[str, str] = MappingProxyType({}),
    set_aside: int = 0,
) -> Answer:
    """Whether the last run of any schedule or task went wrong, or a schedule is late or was paused for failing.

    Args:
        runs: recent ones, the newest first.
        late: per schedule that is late the time (ms) by which it should have succeeded.
        halted: per schedule that its failures have paused the note on it.
        set_aside: messages that no worker could read, and nobody has seen yet.
    """
    ended = [run for run in runs if run.final and run.state != "skipped"]
    newest: dict[str, Run] = {}
    for run in ended:
        newest.setdefault(run.schedule or run.task, run)
    wrong = [f"{name} is late: it should have succeeded by {clock(moment(by))}" for name, by in sorted(late.items())]
    wrong += [f"{name} is paused: {note}; `anp schedules resume {name}`" for name, note in sorted(halted.items())]
    wrong += [said for run in newest.values() if (said := complaint(run))]
    if set_aside:
        wrong.append(f"{set_aside} messages could not be read and are set aside; `anp runs unreadable` shows them")
    if unread := [run for run in runs if run.unreadable]:
        first = f"{unread[0].run_id} ({', '.join(unread[0].unreadable)})"
        wrong.append(f"{len(unread)} rows cannot be read whole, such as {first}; `anp runs cancel` ends a run")
    facts = {
        **Counter(run.state for run in runs), "late": len(late), "paused_for_failing": len(halted),
        "unreadable": len(unread), "set_aside": set_aside,
    }  # fmt: skip
    bad = sum(1 for run in ended if is_bad(run))
    told = f"{bad} of {len(ended)} finished runs went wrong, the last of each schedule did not"
    return Answer("are runs failing", not wrong, "; ".join(wrong) or told, facts)


def did_the_release_change_anything(runs: Sequence[Run]) -> Answer:
    """Whether the newest release does worse than the one before.

    Args:
        runs: the newest first.
    """
    question = "did the last release change anything"
    releases = list(dict.fromkeys(run.release for run in runs if run.release))
    if len(releases) < 2:
        told = f"only release {releases[0]} is recorded" if releases else "no release is recorded"
        return Answer(question, True, told, {"releases": releases})
    new, old = (_figures([run for run in runs if run.release == release]) for release in releases[:2])
    facts = {"releases": releases[:2], "new": new, "old": old}
    if min(new["ended"], old["ended"]) < ENOUGH:
        return Answer(question, True, f"too few runs of {releases[0]} to tell", facts)
    wrong = _worse(new, old)
    told = f"{releases[0]} does as well as {releases[1]}"
    return Answer(question, not wrong, f"{releases[0]}: {'; '.join(wrong)}" if wrong else told, facts)


def _trouble(node: Node) -> str:
    """What a beat says is wrong with its schedules or its clock."""
    return node.news.get("trouble", "")


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that a share of the values does not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def is_bad(run: Run) -> bool:
    """Whether a run went wrong."""
    return run.state in BAD or run.as_expected is False


def _caught_up(run: Run) -> bool:
    """Whether a run by hand, or a tick that was planned after a stop: its lateness is no slowness."""
    if run.tick is None or run.queued_at is None:
        return True
    return (run.queued_at - run.tick).total_seconds() > LATE


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    ended = [run for run in runs if run.final and run.state != "skipped"]
    runtimes = [run.runtime for run in ended if run.runtime is not None]
    share = sum(1 for run in ended if is_bad(run)) / len(ended) if ended else 0.0
    return {"ended": len(ended), "failure_share": share, "runtime_p50": quantile(runtimes, 0.5)}


def _worse(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    wrong = []
    if new["failure_share"] > old["failure_share"] + MORE_FAILURES:
        wrong.append(f"{new['failure_share']:.0%} of runs go wrong, before it was {old['failure_share']:.0%}")
    before, now = old["runtime_p50"], new["runtime_p50"]
    if before and now and now > before * SLOWER and now - before > 0.1:
        wrong.append(f"a run takes {now:.1f} s, before it was {before:.1f} s")
    return wrong
