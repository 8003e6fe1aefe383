"""The options of a beat entry: those of `apply_async`, as a schedule holds them.

Limit: what only tells kombu how to deliver (`compression`, `delivery_mode`, `serializer`, `retry` …) has no say: the
ledger writes the message.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.utils.time import maybe_iso8601
from pydantic_core import PydanticSerializationError, to_json

from celery_anp.beat.problem import shown

#: Options that say how kombu delivers, or with what, which is the ledger's.
DELIVERY = frozenset({
    "compression", "delivery_mode", "serializer", "retry", "retry_policy", "immediate", "mandatory", "producer",
    "publisher", "connection", "router", "add_to_parent", "result_cls", "declare", "exchange_type",
})  # fmt: skip
_MOMENT = "seconds, a timedelta, or a datetime"


class UnfitError(Exception):
    """A beat entry says something that a schedule cannot."""

    def __init__(self, failed: str, expected: str, given: object) -> None:
        super().__init__(failed)
        self.failed, self.expected, self.given = failed, expected, shown(given)


def options(app: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The options of an entry, as keys of a schedule.

    Args:
        app: the app, whose queues are known.
        given: the entry's own.

    Raises:
        UnfitError: one cannot be used.
    """
    left = {name: value for name, value in given.items() if value is not None and name not in DELIVERY}
    if "task_id" in left:
        raise UnfitError("task_id cannot be used", "no id of its own: each tick has one", left["task_id"])
    found: dict[str, Any] = {
        **_expires(left.pop("expires", None)),
        **_waits(left.pop("countdown", None), left.pop("eta", None)),
    }
    if (queue := _queue(app, left)) is not None:
        found["queue"] = queue
    if (priority := left.pop("priority", None)) is not None:
        found["priority"] = min(max(_number("priority", priority), 0), 9)
    try:
        to_json(left)
    except (PydanticSerializationError, ValueError) as error:
        raise UnfitError("an option is no JSON", "texts, numbers, lists, dicts and signatures", str(error)) from None
    return {**found, "options": left}


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError(f"{name} cannot be used", "a whole number", value)
    return value


def _expires(value: Any) -> dict[str, float]:
    if value is None:
        return {}
    if isinstance(value, datetime | str):
        return {"expires_at": _moment("expires", value)}
    return {"expires": _seconds("expires", value)}


def _waits(countdown: Any, eta: Any) -> dict[str, float]:
    if eta is not None:
        return {"eta": _moment("eta", eta)}
    return {} if countdown is None else {"countdown": _seconds("countdown", countdown)}


def _seconds(name: str, value: Any) -> float:
    exact = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(exact, bool) or not isinstance(exact, int | float) or not math.isfinite(exact):
        raise UnfitError(f"{name} cannot be used", _MOMENT, value)
    if not 0 <= exact <= 100 * 366 * 86_400:
        raise UnfitError(f"{name} cannot be used", f"{_MOMENT}, within a century", value)
    return float(exact)


def _moment(name: str, value: Any) -> float:
    """Epoch seconds; a time without a zone is UTC, as for Celery."""
    try:
        read = maybe_iso8601(value)
        return float((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, AttributeError, OverflowError):
        raise UnfitError(f"{name} cannot be used", _MOMENT, value) from None


def _queue(app: Any, left: dict[str, Any]) -> str | None:
    """The queue that `queue`, or `exchange` and `routing_key`, lead to: the ledger puts messages into queues."""
    queue, exchange, key = (left.pop(name, None) for name in ("queue", "exchange", "routing_key"))
    if queue is not None:
        return str(getattr(queue, "name", queue))
    if exchange is None and key is None:
        return None
    wanted = str(getattr(exchange, "name", exchange) or app.amqp.default_exchange.name)
    for name, known in app.amqp.queues.items():
        if known.exchange.name == wanted and key in (None, known.routing_key):
            return str(name)
    expected = "those of a queue in task_queues, or queue"
    raise UnfitError("exchange and routing_key lead to no queue", expected, f"exchange {wanted!r}, routing_key {key!r}")
