"""The scenes of the long search: several minutes, up to 1 GB."""

from __future__ import annotations

from tests.model.scene import Scene
from tests.model.scenes import EVERY_FAULT, EVERY_REQUEST


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


LONG = [
    Scene(
        "one run, every fault and request", nodes=2, hook=True, effects=1, fails=True, limit=2,
        faults=EVERY_FAULT, requests=EVERY_REQUEST, asks=1,
    ),
    Scene("two runs, two faults", runs=2, nodes=2, faults=EVERY_FAULT, budget=2),
    Scene(
        "two runs and a rollback, every fault", runs=2, nodes=2, hook=True, fails=True, retries=1, limit=2,
        faults=EVERY_FAULT,
    ),
    Scene(
        "two runs, every fault and request", runs=2, nodes=2, hook=True, limit=2,
        faults=EVERY_FAULT, requests=EVERY_REQUEST, asks=1,
    ),
    Scene("a slow look, every fault", nodes=2, slow_look=True, fails=True, retries=1, faults=EVERY_FAULT),
    Scene("two runs, writes lost", runs=2, nodes=2, faults=_set("failover kill_child"), budget=2),
    Scene(
        "skip, deadlines and delays", runs=2, nodes=2, overlap="skip", hook=True, fails=True, deadline=True,
        eta=True, limit=2, faults=EVERY_FAULT,
    ),
    Scene(
        "cancel_other, attempts that fail", runs=3, nodes=2, overlap="cancel_other", hook=True, fails=True, limit=2,
        faults=_set("kill_child"),
    ),
    Scene(
        "cancel_other, requests", runs=3, overlap="cancel_other", hook=True, fails=True, limit=2,
        faults=_set("kill_child"), requests=_set("cancel rollback retry"), asks=1,
    ),
    Scene(
        "late hooks", nodes=2, hook=True, effects=1, fails=True, limit=3, faults=_set("stop kill_node"),
        requests=_set("retry resolve rollback"), asks=1,
    ),
    Scene(
        "stopped and cut", nodes=2, hook=True, effects=1, limit=2, faults=_set("stop cut kill_node clock"), budget=2,
    ),
    Scene(
        "two effects, two kills", hook=True, effects=2, fails=True, retries=1, faults=_set("kill_child"), budget=2,
        requests=_set("retry"), asks=1,
    ),
]  # fmt: skip
