"""All that can happen next: children, nodes, upkeep, operators, faults, time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.model import attempt, child, clock, due, faults, leases, node
from tests.model.canon import packed
from tests.model.moment import Ledger, Moment, Packed
from tests.model.operators import REQUESTS
from tests.model.scene import Scene
from tests.model.shapes import Ghost
from tests.model.states import BLOCKED, DELAYED, QUEUE, QUEUED, TIME, UNPLANNED
from tests.model.step import Step


def steps(m: Moment) -> list[Step]:
    """Every step that can be taken from this moment."""
    if m.broken:
        return []
    found = [step for slot in range(len(m.nodes)) for step in (*child.steps(m, slot), *node.steps(m, slot))]
    if m.frozen:
        found.append(Step("Redis thaws", clock.thaw))
    else:
        found += [*_planning(m), *_upkeep(m), *_late(m), *_requests(m)]
    found += faults.steps(m)
    if not clock.waits(m):
        found.append(Step("time passes", clock.tick))
    return found


def after(m: Moment, step: Step, before: Packed) -> Packed:
    """The moment that this step leads to from the packed moment `before`, of which `m` is a copy."""
    lossy = "failover" in m.scene.faults and m.budget and step.label != "time passes"
    if lossy and (written := _written(m.scene, step, before)) is not None:
        return packed(written)
    step.act(m)
    if not m.budget:
        m.before = None
    return packed(m)


def _written(scene: Scene, step: Step, before: Packed) -> Moment | None:
    """The moment after, with the ledger as it was, if the step wrote to the ledger."""
    m = Moment.unpack(scene, before)
    m.before = Ledger.unpack(before[0])
    step.act(m)
    wrote = m.before is not None and m.ledger.pack() != m.before.pack()
    return m if wrote and m.budget else None


def _planning(m: Moment) -> Iterator[Step]:
    for run, row in enumerate(m.ledger.rows):
        if row.state == UNPLANNED:
            yield Step(f"run {run} is planned", partial(due.plan, run=run))
            if "lose_answer" in m.scene.faults and m.budget and not m.ghosts:
                again = partial(_plan_unheard, run=run)
                yield Step(f"! run {run} is planned; the answer is lost, it is sent again", again, chosen=True)
            return


def _plan_unheard(m: Moment, run: int) -> None:
    m.budget -= 1
    due.plan(m, run)
    m.ghosts += (Ghost("plan", run),)


def _upkeep(m: Moment) -> Iterator[Step]:
    for run, row in enumerate(m.ledger.rows):
        if row.index & QUEUE and not row.messages and m.on("ring"):
            yield Step(f"upkeep rings run {run}", partial(due.ring, run=run))
        if row.index & TIME:
            yield Step(f"upkeep promotes run {run}", partial(due.promote, run=run))
        waiting = row.state in (QUEUED, DELAYED, BLOCKED)
        if row.hurried and waiting and not (row.begun and m.on("begun_stays")):
            yield Step(f"upkeep expires run {run}", partial(due.expire, run=run))
    for run in leases.proved(m):
        yield Step(f"a neighbour sees the holder of run {run} dead", partial(leases.prove, run=run))
    for slot, lives in enumerate(m.ledger.leases):
        for age in (age for age, left in lives if not left):
            yield Step(f"upkeep reaps n{slot}", partial(leases.reap, slot=slot, age=age))


def _late(m: Moment) -> Iterator[Step]:
    for ghost in m.ghosts:
        yield Step(f"the late {ghost.kind} of run {ghost.run} runs", partial(_run_late, ghost=ghost))


def _run_late(m: Moment, ghost: Ghost) -> None:
    m.ghosts = tuple(other for other in m.ghosts if other != ghost)
    if ghost.kind in REQUESTS:
        if REQUESTS[ghost.kind](m, ghost.run):
            m.broken = "one request of an operator takes effect twice"
    elif ghost.kind == "plan":
        due.plan(m, ghost.run)
    elif ghost.owner and ghost.kind == "begin":
        attempt.begin(m, ghost.run, ghost.owner, forged=ghost.forged)
    elif ghost.owner:
        attempt.settle(m, ghost.run, ghost.owner, ghost.fence, ghost.outcome)


def _requests(m: Moment) -> Iterator[Step]:
    if not m.asks:
        return
    for kind in sorted(m.scene.requests):
        for run, row in enumerate(m.ledger.rows):
            if row.state != UNPLANNED:
                yield Step(f"? {kind} of run {run}", partial(_ask, kind=kind, run=run), chosen=True)
                if "lose_answer" in m.scene.faults and m.budget and not m.on("ask_token"):
                    again = partial(_ask, kind=kind, run=run, again=True)
                    yield Step(f"? {kind} of run {run}; its answer is lost, it is sent again", again, chosen=True)


def _ask(m: Moment, kind: str, run: int, again: bool = False) -> None:
    if REQUESTS[kind](m, run):
        m.asks -= 1
        if again:
            m.budget -= 1
            m.ghosts += (Ghost(kind, run),)
