"""A run to be, from the names that its row gives to what it consists of: what a test does not name stays out of it."""

from __future__ import annotations

from typing import Any

from celery_anp.reliability.records import End, Key, LockUse, Message, NewRun, Tick, Timing

#: By part of a run the names in it.
_PARTS: dict[Any, dict[str, str]] = {
    Message: {"seal": "seal", "linked": "linked", "by_kombu": "by_kombu", "held": "held"},
    Timing: {"due": "due", "delay": "delay", "deadline": "deadline"},
    LockUse: {"lock": "name", "overlap": "overlap", "limit": "limit"},
    Key: {"digest": "digest", "unique_for": "unique_for"},
    Tick: {"schedule": "schedule", "tick": "time", "late": "late", "pause_after": "pause_after", "ping": "ping",
           "backfill": "backfill"},
    End: {"ends": "state", "reason": "reason"},
}  # fmt: skip


def flat(run_id: str, text: str, target: str, **fields: Any) -> NewRun:
    """A run to be.

    Args:
        run_id: its id.
        text: its message.
        target: the list that this goes to.
        **fields: whatever else its row or its plan has.
    """
    found = {part: {own: fields.pop(name) for name, own in names.items() if name in fields}
             for part, names in _PARTS.items()}  # fmt: skip
    tick, end, key = found[Tick], found[End], found[Key]
    return NewRun(
        run_id, fields.pop("task", "task"), message=Message(text, target, "default", **found[Message]),
        timing=Timing(**found[Timing]), lock=LockUse(**found[LockUse]), key=Key(**key) if key.get("digest") else None,
        tick=Tick(**tick) if tick.get("schedule") else None,
        end=End(end["state"], end.get("reason", "")) if end.get("state") else None, **fields,
    )  # fmt: skip
