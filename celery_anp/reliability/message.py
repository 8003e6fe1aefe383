"""The text of a message, as its row keeps it and the broker's list holds it: the only place that reads it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from celery_anp.redaction import texts

#: The header that names the secret fields of the input.
SECRETS = "anp_secret"


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was read back.

    Args:
        whole: what stands in the list.
        body: the arguments, the keyword arguments, and what is embedded.
    """

    whole: dict[str, Any]
    body: list[Any]

    @property
    def headers(self) -> dict[str, Any]:
        """Its headers; the stamp among them is 0."""
        return dict(self.whole.get("headers") or {})

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of its secret input."""
        return tuple(self.headers.get(SECRETS, ()))

    @property
    def queue(self) -> str:
        """The queue that it is for."""
        return str(self.whole["properties"]["delivery_info"]["routing_key"])

    @property
    def priority(self) -> int:
        """Its priority, 0 where none was asked for."""
        return int(self.whole["properties"]["priority"])

    def property(self, name: str) -> Any:
        """One of its properties; None without it."""
        return self.whole["properties"].get(name)

    def with_headers(self, headers: dict[str, Any]) -> Opened:
        """The same with other headers; the stamp stays the first, as its place."""
        return replace(self, whole={**self.whole, "headers": {**self.headers, **headers}})

    def with_body(self, body: list[Any]) -> Opened:
        """The same with another body."""
        return replace(self, body=body)

    def text(self, dumps: Callable[[Any], str] = json.dumps) -> str:
        """As a row keeps it.

        Args:
            dumps: makes JSON; kombu's knows more types.
        """
        return dumps({**self.whole, "body": dumps(self.body)})


def opened(text: str, loads: Callable[[str], Any] = json.loads) -> Opened:
    """Read a message back.

    Args:
        text: as its row keeps it.
        loads: reads JSON; kombu's knows more types.

    Raises:
        ValueError: it is no JSON.
    """
    whole = loads(text)
    return Opened(whole, loads(whole["body"]) if whole.get("body") else [[], {}, {}])


def secret_values(text: str) -> list[str]:
    """The secret input that a message carries; none where there is no message."""
    if not text:
        return []
    message = opened(text)
    return [value for name in message.secrets for value in texts(message.body[1].get(name))]
