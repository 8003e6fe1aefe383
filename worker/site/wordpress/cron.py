"""WordPress' cron option, read from SQL: which events are due. Nothing here writes.

Limit: the option is one value that any process of the site writes back whole, so an event may be missing from it.
For posts the truth is their row (`publishing`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from celery_anp.errors import AnpError
from worker.site.wordpress import serialized


class CorruptCron(AnpError):
    """The cron option cannot be read, so nobody knows which events are due."""

    retry_safe = True


@dataclass(frozen=True, slots=True)
class Event:
    """One scheduled event."""

    #: Epoch seconds.
    due: int
    #: The action that WordPress fires.
    hook: str
    #: WordPress' key of its arguments, an MD5.
    sig: str
    #: Name of its recurrence; None for an event that happens once.
    recurrence: str | None

    def order(self) -> tuple[int, str, str]:
        """The longest due first."""
        return self.due, self.hook, self.sig

    @property
    def key(self) -> str:
        """What names this event at this time, everywhere on our side."""
        text = f"{self.due}:{self.hook}:{self.sig}"
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def events(option: bytes) -> list[Event]:
    """Every event of the option, the longest due first.

    Args:
        option: its value as SQL gives it.

    Raises:
        CorruptCron: it is no such option; says where it stops to be one.
    """
    try:
        value = serialized.loads(option)
        if not isinstance(value, dict):
            raise _odd("an array of times", value)
        return sorted(_events(value), key=Event.order)
    except serialized.NotSerialized as error:
        raise CorruptCron(
            f"WordPress' cron option cannot be read: {error.failed}",
            expected=f"{error.expected}; where WordPress cannot either, it forgets every event when it writes it next",
            given=error.given,
        ) from None


def _events(times: dict[serialized.Key, serialized.Value]) -> Iterator[Event]:
    for due, hooks in times.items():
        if due == b"version":
            continue
        if not isinstance(due, int) or not isinstance(hooks, dict):
            raise _odd("hooks by time", due)
        for hook, keyed in hooks.items():
            if not isinstance(keyed, dict):
                raise _odd("events by hook", hook)
            for sig, event in keyed.items():
                yield _event(due, hook, sig, event)


def _event(due: int, hook: serialized.Key, sig: serialized.Key, event: serialized.Value) -> Event:
    if not isinstance(event, dict):
        raise _odd("an event with its arguments", event)
    recurrence = event.get(b"schedule")
    if recurrence is not None and recurrence is not False and not isinstance(recurrence, bytes):
        raise _odd("the name of a recurrence, or false", recurrence)
    name = recurrence.decode(errors="replace") if isinstance(recurrence, bytes) and recurrence else None
    return Event(due, _text(hook), _text(sig), name)


def _text(key: serialized.Key) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _odd(expected: str, given: object) -> CorruptCron:
    return CorruptCron("WordPress' cron option is not laid out as WordPress does", expected, repr(given)[:80])
