"""The living nodes, and Redis' clock: all that a health check has to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from celery_anp.reliability.keyspace import Keyspace


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
