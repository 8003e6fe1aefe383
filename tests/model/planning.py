"""A model of planning: three beats decide the ticks of one schedule; two are of a release that is being replaced.

A beat reads the cursor and the clock, works out what is due (its newest tick becomes a row, the ones before it are one
range), and sends the plan script; between any two of these it may stop, and its script may be sent again. The old
release ticks at every unit of time, the new one at every second unit; the new one takes over once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

RULES = {
    "cursor": "the plan script compares the cursor that the plan was worked out from, and moves it",
    "digest": "the plan script refuses a beat whose schedule files are not those of the present release",
}

#: units of time, the length of a release's period, and the release of each beat
END, PERIODS, BEATS = 4, {"old": 1, "new": 2}, ("old", "old", "new")


class Plan(NamedTuple):
    """What a beat has worked out and not yet planned."""

    seen: int
    row: int
    dropped: tuple[int, ...]


class World(NamedTuple):
    """The clock, the ledger, and the plan that each beat has under way."""

    now: int = 0
    cursor: int = 0
    digest: str = "old"
    #: (tick, how it was decided); a tick has one row, and one place in a range
    decided: tuple[tuple[int, str], ...] = ()
    plans: tuple[Plan | None, ...] = (None,) * len(BEATS)
    broken: str = ""


def due(seen: int, now: int, period: int) -> Plan | None:
    """The catch-up policy `latest`: ticks after the cursor, the newest to run, the others dropped."""
    ticks = [tick for tick in range(seen + 1, now + 1) if tick % period == 0]
    return Plan(seen, ticks[-1], tuple(ticks[:-1])) if ticks else None


def plan(world: World, plan: Plan, release: str, rules: frozenset[str]) -> World:
    """The plan script."""
    if "digest" in rules and release != world.digest:
        return world
    if "cursor" in rules and plan.seen != world.cursor:
        return world
    planned = {(plan.row, "row"), *((tick, "range") for tick in plan.dropped)}
    late = release != world.digest and not planned <= set(world.decided)
    return world._replace(
        decided=tuple(sorted(planned | set(world.decided))),
        cursor=max(world.cursor, plan.row),
        broken="a beat of a retired release plans" if late else "",
    )


def harm(world: World) -> str:
    """What is wrong with this world, or ""."""
    ticks = [decision[0] for decision in world.decided]
    if len(set(ticks)) < len(ticks):
        return "a tick is decided twice"
    if world.digest == "old" and any(tick not in ticks for tick in range(1, world.cursor + 1)):
        return "a tick behind the cursor has no decision"
    return world.broken


def nexts(world: World, rules: frozenset[str]) -> Iterator[tuple[str, World]]:
    """What can happen next."""
    if world.now < END:
        yield f"the clock says {world.now + 1}", world._replace(now=world.now + 1)
    if world.digest == "old":
        yield "the new release takes over", world._replace(digest="new")
    for beat, release in enumerate(BEATS):
        yield from _beat(world, beat, release, rules)


def _beat(world: World, beat: int, release: str, rules: frozenset[str]) -> Iterator[tuple[str, World]]:
    working, who = world.plans[beat], f"beat {beat} ({release})"
    if working is None:
        fresh = due(world.cursor, world.now, PERIODS[release])
        if fresh and (release == "old" or world.digest == "new"):
            yield f"{who} works out {_words(fresh)}", _with(world, beat, fresh)
        return
    after = plan(world, working, release, rules)
    yield f"{who} plans {_words(working)}", _with(after, beat, None)
    yield f"{who} plans {_words(working)}, hears nothing, sends it again", after
    yield f"{who} is killed", _with(world, beat, None)


def _with(world: World, beat: int, plan: Plan | None) -> World:
    return world._replace(plans=(*world.plans[:beat], plan, *world.plans[beat + 1 :]))


def _words(plan: Plan) -> str:
    return f"tick {plan.row}" + (f", dropping {list(plan.dropped)}" if plan.dropped else "")


def search(rules: frozenset[str]) -> tuple[int, str, list[str]]:
    """Breadth first: how many worlds there are, the first harm ("" for none), and a shortest way to it."""
    ways: dict[World, tuple[World, str] | None] = {World(): None}
    todo = deque(ways)
    while todo:
        world = todo.popleft()
        if wrong := harm(world):
            return len(ways), wrong, _way(ways, world)
        for label, there in nexts(world, rules):
            if there not in ways:
                ways[there] = (world, label)
                todo.append(there)
    return len(ways), "", []


def _way(ways: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    labels = []
    while before := ways[world]:
        world, label = before
        labels.append(label)
    return labels[::-1]


def table(*, stories: bool) -> bool:
    """Prints what holds with all rules, and what happens without each. True if all is as it should be."""
    count, wrong, way = search(frozenset(RULES))
    print(f"{'planning':36} {count:8} worlds  {f'BROKEN: {wrong}' if wrong else 'holds'}")
    good = not wrong
    for rule in RULES:
        count, seen, way = search(frozenset(RULES) - {rule})
        print(f"    without {rule:22} {count:8} worlds  {seen or 'NOT SEEN'}")
        good = good and bool(seen)
        for line in way if stories else ():
            print(f"        {line}")
    return good
