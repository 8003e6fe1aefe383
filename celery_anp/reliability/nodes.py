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
    #: Seconds until its lease ends.
    lease_left: float
    #: What it says of its work, such as `trouble`.
    news: Mapping[str, str]


def now(store: Keyspace) -> int:
    """Redis' clock, in milliseconds since the epoch."""
    seconds, micros = store.read("time")
    return int(seconds) * 1000 + int(micros) // 1000


def living(store: Keyspace) -> list[Node]:
    """The nodes whose lease is not over."""
    at = now(store)
    leases = store.read("zrange", store.key("nodes"), 0, -1, False, True)
    about = store.rows([store.key(f"node:{node}") for node, _ in leases])
    return [
        Node(
            node, says.get("kind", ""), says.get("host", ""), int(says.get("pid") or 0),
            tuple(json.loads(says.get("tasks") or "[]")), says.get("release", ""), (end - at) / 1000, says,
        )
        for (node, end), says in zip(leases, about, strict=True)
        if end > at and "dead" not in says
    ]  # fmt: skip
