"""What a worker keeps of a message that it cannot read: never what is secret in it."""

from __future__ import annotations

from typing import Any

from celery_anp.redaction import cleared
from celery_anp.reliability.message import SECRETS
from celery_anp.reliability.unreadable import BEGINNING, Unreadable
from celery_anp.sending.message import secret_fields


def keep(app: Any, source: str, text: bytes, reason: str) -> int:
    """Set a message aside.

    Args:
        app: the guarded app.
        source: the broker's list that it came from.
        text: the message.
        reason: why it cannot be read.

    Returns:
        Its number.

    Raises:
        LedgerUnavailable: nothing was kept.
    """
    return Unreadable(app.ledger.store).add(source, cleared(reason), len(text), beginning(app, text))


def beginning(app: Any, text: bytes) -> str:
    """How a message begins; one that may hold secret input is not shown."""
    for task in app.tasks.values():
        if secret_fields(task) and task.name.encode() in text:
            return f"(not shown: it names {task.name}, whose input has secrets)"
    if SECRETS.encode() in text:
        return "(not shown: it says that its input has secrets)"
    return cleared(text[: 4 * BEGINNING].decode(errors="replace"))[:BEGINNING]
