"""The steps of a run at which a fault may hit it, and how a scene gets there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.scene import LATER, Scene
from tests.support.eventually import eventually

#: Seconds that a run of `waiting for retry` waits.
COUNTDOWN = 3.0
#: Seconds that Celery's claim to send a chord's body outlives the child that held it.
CLAIM = 6.0
#: The gate of every attempt after the first, opened when the fault is over.
SECOND = "second"


def nothing(_: Scene) -> None:
    """Nothing has to be done."""


@dataclass(frozen=True)
class Step:
    """One step of a run."""

    name: str
    #: Brings the scene's run there.
    reach: Callable[[Scene], None]
    #: What is needed after the fault, so that the run can go on.
    go_on: Callable[[Scene], None] = nothing
    #: Makes the ledger ring the run once more while no worker reads its queue; None where it never does.
    next_ring: Callable[[Scene], None] | None = None
    #: How the watched runs end.
    ends: str = "succeeded"
    #: Seconds that the run waits by itself.
    waits: float = 0.0
    #: A body stands at its gate, and a second one at `SECOND` until the fault is over.
    held: bool = False
    #: The row waits for a worker and its message may be gone with the fault.
    doorbell: bool = False

    def __str__(self) -> str:
        return self.name


def planned_not_sent(scene: Scene) -> None:
    """Its planner died between the row and the message."""
    scene.send(["effect", "e"], ring=False)


def sent_not_popped(scene: Scene) -> None:
    """The message waits in its list."""
    scene.send(["effect", "e"], queue=LATER)


def popped_not_begun(scene: Scene) -> None:
    """A child has the message and has not asked the ledger."""
    scene.reaches_gate("popped", scene.send(["gate popped", "popped"], ["effect", "e"]))


def running_before_effect(scene: Scene) -> None:
    """The body stands before its effect; how to undo it is recorded."""
    scene.reaches_gate("before", scene.send(["undo", "e"], ["gate", "before"], ["effect", "e"], ["gate again", SECOND]))


def running_before_it_records(scene: Scene) -> None:
    """The body stands before it records how its effect is undone: the ledger may be away when it does."""
    scene.reaches_gate("unrecorded", scene.send(["gate", "unrecorded"], ["undo", "e"], ["effect", "e"]))


def after_effect(scene: Scene) -> None:
    """The body stands after its effect."""
    scene.reaches_gate("after", scene.send(["undo", "e"], ["effect", "e"], ["gate", "after"]))


def settled_not_acknowledged(scene: Scene) -> None:
    """The ledger has the result, the main process does not know."""
    run_id = scene.send(["effect", "e"], ["gate settled", "settled"])
    scene.reaches_gate("settled", run_id)
    assert scene.ledger.run(run_id).state == "succeeded"


def settled_link_not_sent(scene: Scene) -> None:
    """The ledger has the result; what is chained to the run is neither planned nor sent."""
    run_id = scene.send_chain([["effect", "e"]], [["gate sending", "sending"], ["effect", "next"]])
    scene.reaches_gate("sending", run_id)
    assert scene.ledger.run(run_id).state == "succeeded"


def chord_claimed_body_not_sent(scene: Scene) -> None:
    """The last part of a chord is settled and counted; its child has Celery's claim to send the body, and has not."""
    run_id = scene.send_chord([["effect", "e"]], [["gate sending", "sending"], ["effect", "next"]])
    scene.reaches_gate("sending", run_id)


def waiting_for_retry(scene: Scene) -> None:
    """The first attempt asked for another one."""
    run_id = scene.send(["retry", COUNTDOWN], ["effect", "e"])
    scene.stack.reaches(run_id, "delayed")
    scene.victim = scene.worker_of(scene.journal.lines("begin", run=run_id)[0]["pid"])


def blocked(scene: Scene) -> None:
    """The run waits for the lock of one that runs."""
    scene.reaches_gate("holder", scene.send(["effect", "a"], ["gate", "holder"], lock="one"))
    scene.stack.reaches(scene.send(["effect", "b"], lock="one"), "blocked")


def rolling_back(scene: Scene) -> None:
    """The hook has undone one entry of two, and the ledger does not know."""
    run_id = scene.send(
        ["undo", "one"], ["effect", "one"], ["undo", "two"], ["effect", "two"], ["gate undone", "undone"],
        ["fail", "KeyError"],
    )  # fmt: skip
    scene.reaches_gate("undone", run_id)


def _hear(scene: Scene) -> None:
    scene.strike()  # the time counts from when somebody listens
    scene.listen(LATER)


def _promoted(scene: Scene) -> None:
    eventually(lambda: scene.ledger.run(scene.watched[-1]).state == "queued", 10, "its countdown to end")


def _open(scene: Scene) -> None:
    scene.open_gates()


def _lose_the_hook(scene: Scene) -> None:
    scene.kill_child()
    scene.open_gates()


STEPS = (
    Step("planned not sent", planned_not_sent, doorbell=True),
    Step("sent not popped", sent_not_popped, go_on=_hear, next_ring=nothing),
    Step("popped not begun", popped_not_begun, doorbell=True),
    Step("running before the effect", running_before_effect, held=True),
    Step("running before it records", running_before_it_records),
    Step("after the effect", after_effect),
    Step("settled not acknowledged", settled_not_acknowledged),
    Step("settled, its link not sent", settled_link_not_sent, next_ring=_open, doorbell=True),
    Step(
        "chord claimed, its body not sent",
        chord_claimed_body_not_sent,
        next_ring=_open,
        doorbell=True,
        waits=CLAIM,
    ),
    Step("waiting for retry", waiting_for_retry, next_ring=_promoted, waits=COUNTDOWN),
    Step("blocked", blocked, next_ring=_open),
    Step("rolling back", rolling_back, next_ring=_lose_the_hook, ends="rolled_back"),
)
