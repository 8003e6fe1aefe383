"""`anp health`: for container health checks; by work done, not by a process being there."""

from __future__ import annotations

import socket
from typing import Annotated, Literal

import typer

from worker.cli import printing
from worker.cli.printing import AsJson
from worker.cli.reach import ledger
from worker.reliability.ledger import Ledger

Part = Literal["redis", "worker", "beat"]


def health(part: Annotated[Part, typer.Argument(help="What to look at.")], json: AsJson = False) -> None:
    """Tell whether one part works: Redis takes a write, or a worker or beat on this host renews its lease.

    Exit code 0 if it does, else 1. Example: `anp health worker`
    """
    with ledger(to_read=False) as found:
        said = _redis(found) if part == "redis" else _node(found, part)
    if json:
        printing.as_json({"part": part, "healthy": not said, "reason": said or None})
    else:
        printing.say(f"{part} is {'healthy' if not said else f'not healthy: {said}'}")
    if said:
        raise typer.Exit(1)


def _redis(found: Ledger) -> str:
    """A write tells more than a ping: a full disk, a replica or a full memory all answer pings."""
    found.store.read("set", found.store.key("health"), "1", 60)
    return ""


def _node(found: Ledger, kind: str) -> str:
    host = socket.gethostname()
    here = [node for node in found.nodes() if node.kind == kind and node.host == host]
    return "" if here else f"no {kind} on {host} has a living lease"
