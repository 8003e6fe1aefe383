"""Messages that no worker can read: what is kept of them, until an operator has seen it.

Limit: only the beginning of a message is kept, and of the newest 500 only; how many there ever were is counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.run import iso, moment

#: Characters of a message, and of the reason, that are kept.
BEGINNING, REASON = 1000, 300


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be read."""

    #: It grows by one with each.
    number: int
    at: datetime | None
    #: The broker's list that it came from.
    list: str
    reason: str
    #: How long it was.
    bytes: int
    #: How it begins; a message with secret input is not shown.
    text: str

    def public(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "number": self.number, "at": iso(self.at), "list": self.list, "reason": self.reason, "bytes": self.bytes,
            "text": self.text,
        }  # fmt: skip


class Unreadable:
    """What was set aside in one ledger.

    Args:
        store: its keys.
    """

    def __init__(self, store: Keyspace) -> None:
        self.store = store

    def add(self, source: str, reason: str, size: int, text: str) -> int:
        """Keep what can be kept of a message, and alert whom it concerns.

        Args:
            source: the broker's list that it came from.
            reason: why it cannot be read.
            size: its bytes.
            text: how it begins, without secrets.

        Returns:
            Its number.

        Raises:
            LedgerUnavailable: Redis did not answer or refused us.
        """
        one = {"list": source, "reason": reason[:REASON], "bytes": size, "text": text[:BEGINNING]}
        return int(self.store.call("aside", "add", json.dumps(one, ensure_ascii=False).encode("utf-8", "replace")))

    def newest(self, limit: int) -> list[SetAside]:
        """The newest, at most so many."""
        found = self.store.read("zrevrange", self.store.key("unreadable"), 0, limit - 1)
        return [_set_aside(json.loads(text)) for text in found]

    def kept(self) -> int:
        """How many are kept."""
        return int(self.store.read("zcard", self.store.key("unreadable")))

    def ever(self) -> int:
        """How many there ever were."""
        return int(self.store.read("hget", self.store.key("unreadable:counts"), "ever") or 0)

    def drop(self, last: int) -> int:
        """Forget those up to a number, which somebody has seen; returns how many."""
        return int(self.store.call("aside", "drop", last))


def _set_aside(told: dict[str, Any]) -> SetAside:
    return SetAside(
        int(told["number"]), moment(int(told["at"])), told["list"], told["reason"], int(told["bytes"]), told["text"]
    )
