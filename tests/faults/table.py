"""The table: every step times every fault, and what is meaningless, with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.faults import FAULTS, Fault
from tests.faults.scene import LEASE
from tests.faults.steps import STEPS, Step

#: Seconds after which upkeep rings a message again that nobody took, and between two of its rounds.
GRACE = 5.0
ROUND = 1.0
#: Seconds until a run goes on whose worker's death can be proved.
SEEN = 3.0
#: Seconds that a machine with more cells than cores may add: a start of a process, a late thread.
NOISE = 2.0

_ACKNOWLEDGED = "the broker has no message of it any more: it is acknowledged before the body, the row brings it back"
#: Combinations that cannot happen.
MEANINGLESS = {
    ("planned not sent", "message deleted"): "there is no message yet; this step is a deleted message",
    ("popped not begun", "message deleted"): "the message is in the child's hands; it is lost with the child",
    ("running before the effect", "message deleted"): _ACKNOWLEDGED,
    ("running before it records", "message deleted"): _ACKNOWLEDGED,
    ("after the effect", "message deleted"): _ACKNOWLEDGED,
    ("settled not acknowledged", "message deleted"): "an ended run has no message, and none is rung again",
}
#: The fault of each step that is tried in every test run.
SMOKE = {
    "planned not sent": "kill -9 worker",
    "sent not popped": "message deleted",
    "popped not begun": "kill -9 worker",
    "running before the effect": "SIGSTOP and SIGCONT",
    "running before it records": "Redis restarted",
    "after the effect": "kill -9 child",
    "settled not acknowledged": "kill -9 worker",
    "settled, its link not sent": "kill -9 worker",
    "chord claimed, its body not sent": "Redis frozen",
    "waiting for retry": "Redis restarted",
    "blocked": "Redis frozen",
    "rolling back": "kill -9 worker, restarted",
}


def cells() -> Iterator[tuple[Step, Fault]]:
    """Every combination."""
    for step in STEPS:
        for fault in FAULTS:
            yield step, fault


def bound(step: Step, fault: Fault) -> float:
    """Seconds from the fault until the run must have gone on: the lease and two seconds, or less where a death is seen.

    Where a doorbell may be lost, its grace counts where it is longer than the lease of these tests (it is not longer
    than the lease that is the default). An outage of Redis adds itself and one lease.
    """
    lost_doorbell = GRACE + ROUND if step.doorbell or fault.doorbell else 0.0
    outage = fault.outage + LEASE if fault.outage else 0.0
    found = SEEN - 2 if fault.proved else LEASE
    return max(found, lost_doorbell) + 2 + step.waits + outage
