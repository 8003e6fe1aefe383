"""The life of a child: it takes a message, begins, works, settles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.model import attempt, body, faults, operators
from tests.model.moment import Moment
from tests.model.owners import me, renew_delivery, rest
from tests.model.states import ASKING, BEGINNING, BODY, IDLE, LINKING, SETTLING
from tests.model.step import Step


def steps(m: Moment, slot: int) -> Iterator[Step]:
    """What the child of this node can do now."""
    node = m.nodes[slot]
    if not node.alive or node.stopped:
        return
    if node.orphaned:
        yield Step(f"the child of n{slot} ends too", partial(faults.kill_node, slot=slot))
    if node.at == BODY:
        yield from _in_body(m, slot)
    if not m.reaches(slot):
        return
    if node.at == IDLE and node.own >= 0 and not node.orphaned:
        for run, row in enumerate(m.ledger.rows):
            if row.messages:
                yield Step(f"n{slot} takes the message of run {run}", partial(take, slot=slot, run=run))
            if row.forged:
                label = f"n{slot} takes a forged message of run {run}"
                yield Step(label, partial(take, slot=slot, run=run, forged=True))
    elif node.at in SCRIPTS:
        yield Step(f"n{slot} {SCRIPTS[node.at][0]} run {node.run}", partial(SCRIPTS[node.at][1], slot=slot))


def _in_body(m: Moment, slot: int) -> Iterator[Step]:
    node, (name, k) = m.nodes[slot], body.part(m, slot)
    who = f"n{slot} {'hook' if node.undoing else 'body'} of run {node.run}"
    if m.reaches(slot) or not body.needs_redis(name):
        yield Step(f"{who}: {name}{'' if name == 'end' else f' {k}'}", partial(body.do, slot=slot))
    if m.scene.fails:
        yield Step(f"{who} fails", partial(body.finish, slot=slot, outcome="failed"))
    if m.ledger.rows[node.run].marked and not node.undoing and m.reaches(slot):
        yield Step(f"{who} sees the mark and stops", partial(body.finish, slot=slot, outcome="cancelled"))


def take(m: Moment, slot: int, run: int, *, forged: bool = False) -> None:
    renew_delivery(m, slot)
    node, row = m.nodes[slot], m.ledger.rows[run]
    if forged:
        row.forged = False
    else:
        row.messages -= 1
    node.at, node.run, node.forged = BEGINNING, run, forged


def begin(m: Moment, slot: int) -> None:
    fence = attempt.begin(m, m.nodes[slot].run, me(slot), forged=m.nodes[slot].forged)
    if fence:
        body.enter(m, slot, fence)
    else:
        rest(m.nodes[slot])


def settle(m: Moment, slot: int) -> None:
    node = m.nodes[slot]
    row = m.ledger.rows[node.run]
    again = row.settled == node.fence
    heard = attempt.settle(m, node.run, me(slot), node.fence, node.outcome)
    if again and not heard:
        m.broken = "a node's own settle is called late"
    if not m.on("links") and row.state == "succeeded":
        node.at = LINKING
    elif not m.on("rollback_indexed") and m.scene.hook and row.state in ("failed", "cancelled"):
        node.at = ASKING
    else:
        rest(node)


def link(m: Moment, slot: int) -> None:
    """Celery sends the next link of a chain after the body returned."""
    m.ledger.rows[m.nodes[slot].run].linked = True
    rest(m.nodes[slot])


def ask(m: Moment, slot: int) -> None:
    """The child itself asks for the rollback of the run that it saw fail."""
    operators.rollback(m, m.nodes[slot].run)
    rest(m.nodes[slot])


SCRIPTS = {
    BEGINNING: ("begins", begin),
    SETTLING: ("settles", settle),
    LINKING: ("sends the next link of", link),
    ASKING: ("asks for the rollback of", ask),
}
