"""Counts what this process sends to Redis: one request is one round trip, however many commands it carries."""

from __future__ import annotations

from typing import Any

from redis.connection import AbstractConnection

_count = 0
_send = AbstractConnection.send_packed_command


def _counting(connection: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
    global _count  # noqa: PLW0603 - one number a process
    _count += 1
    return _send(connection, command, *args, **kwargs)


def count() -> int:
    """Requests sent since `watch`."""
    return _count


def watch() -> None:
    """Begin to count in this process and in those it forks."""
    AbstractConnection.send_packed_command = _counting
