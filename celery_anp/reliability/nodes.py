"""The living nodes, and Redis' clock: all that a health check has to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from celery_anp.reliability.keyspace import Keyspace


class Unserved(NamedTuple):
    """A queue on which runs wait and that no living worker serves."""

    queue: str
    #: How many wait.
    runs: int
    #: Since when nobody serves it (ms), as upkeep saw it first; 0 where it has not looked yet.
    since: int


class Node(NamedTuple):
    """A living node: one worker process tree, or a beat."""

    node: str
    kind: str
    host: str
    pid: int
    tasks: tuple[str, ...]
    release: str
    #: Where it lives, as `process.place.Place` reads it; empty where its death could not be proved.
    place: str
    #: Seconds until its lease ends.
    lease_left: float
    #: What it says of its work, such as `trouble`.
    news: Mapping[str, str]

    @property
    def queues(self) -> frozenset[str] | None:
        """The queues it serves; None where it does not say, as one of an earlier release."""
        said = self.news.get("queues")
        return None if said is None else frozenset(json.loads(said))


def now(store: Keyspace) -> int:
    """Redis' clock, in milliseconds since the epoch."""
    seconds, micros = store.read("time")
    return int(seconds) * 1000 + int(micros) // 1000


def silence(store: Keyspace, node: str) -> float:
    """Seconds since a node has renewed its lease; 0 for one that Redis does not know."""
    end, lease, (seconds, micros) = store.several(
        [("zscore", store.key("nodes"), node), ("hget", store.key(f"node:{node}"), "lease"), ("time",)]
    )
    if end is None or not lease:
        return 0.0
    return int(seconds) + int(micros) / 1_000_000 - (float(end) - int(lease)) / 1000


def living(store: Keyspace) -> list[Node]:
    """The nodes whose lease is not over."""
    at = now(store)
    leases = store.read("zrange", store.key("nodes"), 0, -1, False, True)
    about = store.rows([store.key(f"node:{node}") for node, _ in leases])
    return [
        Node(
            node, says.get("kind", ""), says.get("host", ""), int(says.get("pid") or 0),
            tuple(json.loads(says.get("tasks") or "[]")), says.get("release", ""), says.get("place", ""),
            (end - at) / 1000, says,
        )
        for (node, end), says in zip(leases, about, strict=True)
        if end > at and "dead" not in says
    ]  # fmt: skip


def served(alive: Sequence[Node]) -> frozenset[str] | None:
    """The queues that living workers serve; None where one does not say."""
    found = [node.queues for node in alive if node.kind == "worker"]
    return None if None in found else frozenset(name for names in found for name in names or ())


def unserved(store: Keyspace, alive: Sequence[Node]) -> list[Unserved]:
    """The queues on which runs wait and that none of some living nodes serves."""
    waiting, since = store.several([("hgetall", store.key("waiting")), ("hgetall", store.key("unserved"))])
    known = served(alive)
    if known is None:
        return []
    return [
        Unserved(queue, int(count), int(since.get(queue, "0").partition("|")[0]))
        for queue, count in sorted(waiting.items())
        if queue not in known
    ]
