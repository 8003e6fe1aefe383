"""Where the node of a worker is said to live; moved, so that its death can be seen as something else, or not at all."""

from __future__ import annotations

from celery_anp.process.place import Place, System
from celery_anp.reliability.ledger import Ledger


def hide(ledger: Ledger, node: str) -> Place:
    """Nobody here knows any more where a node lives, as if it lived elsewhere: its death cannot be seen.

    Returns:
        Where it lives.
    """
    key = ledger.store.key(f"host:{System().host}")
    place = Place.read(str(ledger.store.client.hget(key, node)))
    assert place, f"nobody knows where {node} lives"
    ledger.store.client.hdel(key, node)
    return place


def show(ledger: Ledger, node: str, place: Place) -> None:
    """Now a node lives there."""
    ledger.store.client.hset(ledger.store.key(f"host:{place.host}"), node, str(place))
