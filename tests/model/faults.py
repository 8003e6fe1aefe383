"""What can go wrong. Each costs one of the scene's budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.model import attempt
from tests.model.clock import jump
from tests.model.moment import Moment
from tests.model.owners import me, renew_child, rest
from tests.model.shapes import Ghost
from tests.model.states import BEGINNING, BODY, IDLE, SETTLING
from tests.model.step import Step

Fault = Callable[[Moment], None]


def steps(m: Moment) -> Iterator[Step]:
    """Every fault of the scene that can happen now."""
    if not m.budget:
        return
    for label, act in _possible(m):
        yield Step(f"! {label}", partial(_spend, act=act), chosen=True)


def _spend(m: Moment, act: Fault) -> None:
    m.budget -= 1
    act(m)


def _possible(m: Moment) -> Iterator[tuple[str, Fault]]:
    for slot, node in enumerate(m.nodes):
        if node.alive and not node.stopped and not node.orphaned:
            yield from _of_process(m, slot)
            yield from _of_request(m, slot)
        elif node.stopped and "kill_node" in m.scene.faults:
            yield f"n{slot} is killed while stopped", partial(kill_node, slot=slot)
    if not m.frozen:
        yield from _of_messages(m)
        if "freeze" in m.scene.faults:
            yield "Redis freezes", freeze
        if "clock" in m.scene.faults:
            yield "the clock of Redis jumps ahead", jump
        if m.before is not None:
            yield "failover: the last write is lost", failover


def _of_process(m: Moment, slot: int) -> Iterator[tuple[str, Fault]]:
    faults, node = m.scene.faults, m.nodes[slot]
    kills: list[tuple[str, str, Fault]] = [
        ("kill_child", f"the child of n{slot} is killed", partial(_kill_child, slot=slot, fate="child")),
        ("kill_node", f"n{slot} is killed", partial(kill_node, slot=slot)),
    ]
    for name, label, act in kills:
        if name in faults and (name == "kill_node" or node.at != IDLE):
            yield label, act
            if node.at in (BEGINNING, SETTLING) and not m.ghosts:
                yield f"{label}, its request still in the socket", partial(_haunt, slot=slot, act=act)
    if "kill_main" in faults and node.at != IDLE:
        yield f"the main process of n{slot} is killed", partial(_set, slot=slot, name="orphaned")
    if "limit" in faults and node.at == BODY:
        yield f"hard limit of n{slot}'s child", partial(_kill_child, slot=slot, fate="limit")
    if "stop" in faults:
        yield f"n{slot} is stopped (SIGSTOP)", partial(_set, slot=slot, name="stopped")
    if "cut" in faults and not node.cut:
        yield f"n{slot} is cut from Redis", partial(_set, slot=slot, name="cut")
    if "shutdown" in faults and m.reaches(slot):
        yield f"n{slot} is shut down", partial(shutdown, slot=slot)


def _of_request(m: Moment, slot: int) -> Iterator[tuple[str, Fault]]:
    faults, node = m.scene.faults, m.nodes[slot]
    if "lose_answer" in faults and m.reaches(slot) and node.at in (BEGINNING, SETTLING):
        yield f"n{slot}: {node.at}, the answer is lost; it will be sent again", partial(_unheard, slot=slot)
    if "give_up" in faults and node.at == BEGINNING:
        give_up = partial(_give_up, slot=slot)
        yield f"begin of n{slot} raises", give_up
        if not m.ghosts:
            yield f"begin of n{slot} raises, still in the socket", partial(_haunt, slot=slot, act=give_up)


def _of_messages(m: Moment) -> Iterator[tuple[str, Fault]]:
    for run, row in enumerate(m.ledger.rows):
        if "message" in m.scene.faults and row.messages:
            yield f"the message of run {run} is lost", partial(_messages, run=run, by=-1)
            if row.messages < 2:
                yield f"the message of run {run} is doubled", partial(_messages, run=run, by=1)
        if "forge" in m.scene.faults and not row.forged:
            yield f"a message of run {run} is forged", partial(_forge, run=run)


def _set(m: Moment, slot: int, name: str) -> None:
    setattr(m.nodes[slot], name, True)


def _kill_child(m: Moment, slot: int, fate: str) -> None:
    renew_child(m, slot, fate)
    m.nodes[slot].untold = not m.on("reconcile")


def kill_node(m: Moment, slot: int) -> None:
    renew_child(m, slot, "node")
    node = m.nodes[slot]
    node.alive = node.orphaned = node.stopped = node.cut = node.late = node.untold = False
    node.own = 0


def shutdown(m: Moment, slot: int) -> None:
    """A cold stop: the main process kills its child, gives up its rows and its lease, and ends."""
    for run, row in enumerate(m.ledger.rows):
        if row.owner and row.owner[:2] == (slot, 0):
            attempt.lose(m, run, "shutdown")
    m.ledger.leases[slot] = tuple(life for life in m.ledger.leases[slot] if life[0])
    kill_node(m, slot)


def _haunt(m: Moment, slot: int, act: Fault) -> None:
    node = m.nodes[slot]
    kind = "begin" if node.at == BEGINNING else "settle"
    m.ghosts = (Ghost(kind, node.run, me(slot), node.fence, node.outcome, node.forged),)
    act(m)


def _give_up(m: Moment, slot: int) -> None:
    rest(m.nodes[slot])


def _unheard(m: Moment, slot: int) -> None:
    node = m.nodes[slot]
    if node.at == BEGINNING:
        attempt.begin(m, node.run, me(slot), forged=node.forged)
    else:
        attempt.settle(m, node.run, me(slot), node.fence, node.outcome)


def _messages(m: Moment, run: int, by: int) -> None:
    m.ledger.rows[run].messages += by


def _forge(m: Moment, run: int) -> None:
    m.ledger.rows[run].forged = True


def freeze(m: Moment) -> None:
    m.frozen = 1


def failover(m: Moment) -> None:
    """The replica that takes over has not seen the last write."""
    assert m.before
    for old, row in zip(m.before.rows, m.ledger.rows, strict=True):
        old.stands = row.stands
    for node in m.nodes:
        node.forgotten = node.at != IDLE
    m.ledger, m.before = m.before, None
