"""From a call to a draft of its row: the run's id, its lock, and when it is due.

Everything that publishes passes `Celery.send_task`: `.delay`, canvas, Flower, by name. There the input is checked and
the draft is made; the message is then built by Celery itself, and `publisher` plans the row with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadUsage
from celery_anp.reliability.records import NewRun


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked call that is to become a row."""

    task: DeclaredTask
    new: NewRun


def run_id(task: str, key: str | None) -> str:
    """The id of a run by hand: `<task>#<idempotency key>`, or `<task>#<uuid7>` without one."""
    if key is not None and not (key and key.isprintable() and len(key) <= 200 and "|" not in key):
        raise BadUsage(
            "The idempotency key cannot be used",
            expected="1 to 200 printable characters without |",
            given=repr(key),
        )
    return f"{task}#{key or uuid_utils.uuid7()}"


def draft(task: DeclaredTask, checked: Checked, options: dict[str, Any]) -> Draft:
    """A row from a checked call; takes what is ours out of the options, so that Celery does not see it.

    Args:
        task: the task.
        checked: its input.
        options: the options of `apply_async`. `key`, `unique_for` (seconds), `task_id` (given by the caller or frozen
            by a canvas), `countdown`, `eta` and `expires` are taken out.

    Returns:
        The draft; its message, queue and list are filled in when Celery has built the message.

    Raises:
        BadUsage: a key inside a canvas, or a time that cannot be read.
    """
    key, task_id, unique_for = (options.pop(name, None) for name in ("key", "task_id", "unique_for"))
    if task_id is not None and (key is not None or unique_for is not None):
        raise BadUsage(
            "An idempotency key cannot be used here",
            expected="no id of its own: a canvas has frozen this one",
            given=str(key or unique_for),
        )
    identity = task_id or run_id(task.name, key)
    due, delay = _due(options.pop("countdown", None), options.pop("eta", None))
    lock, overlap = task.lock_of(checked.fields)
    new = NewRun(
        run_id=identity,
        task=task.name,
        message="",
        list="",
        queue="",
        lock=lock,
        overlap=overlap or "buffer_all",
        limit=task.limit,
        due=due,
        delay=delay,
        deadline=_deadline(options.pop("expires", None)),
        digest=checked.digest() if key is not None or unique_for is not None else "",
        unique_for=_whole_milliseconds(unique_for),
        hook=task.has_rollback,
        meta_key=task.meta_key(identity),
        release=task.release,
    )
    return Draft(task, new)


def _whole_milliseconds(unique_for: float | timedelta | None) -> int:
    if unique_for is None:
        return 0
    seconds = unique_for.total_seconds() if isinstance(unique_for, timedelta) else unique_for
    if not isinstance(seconds, (int, float)) or not 0.001 <= seconds <= 366 * 86_400:
        raise BadUsage("unique_for cannot be used", expected="seconds, up to a year", given=repr(unique_for))
    return int(seconds * 1000)


def seconds_until(countdown: float | None, eta: datetime | str | None) -> float:
    """The pause that a `countdown` (seconds) or an `eta` asks for, in seconds."""
    if eta is not None:
        return _milliseconds(eta, "eta") / 1000 - datetime.now(UTC).timestamp()
    return countdown or 0.0


def _due(countdown: float | None, eta: datetime | str | None) -> tuple[int, int | None]:
    if eta is not None:
        return _milliseconds(eta, "eta"), None
    if countdown:
        return 0, int(countdown * 1000)
    return 0, None


def _deadline(expires: float | datetime | str | None) -> int:
    if expires is None:
        return 0
    if isinstance(expires, (int, float)):
        return int((datetime.now(UTC) + timedelta(seconds=expires)).timestamp() * 1000)
    return _milliseconds(expires, "expires")


def _milliseconds(time: datetime | str, what: str) -> int:
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError:
        raise BadUsage(f"{what} cannot be read", expected="a datetime or ISO 8601", given=repr(time)) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def shown(task: DeclaredTask, checked: Checked) -> dict[str, str]:
    """How the input looks in Celery's logs and in Flower: without its secrets."""
    secrets = secret_fields(task)
    if not secrets:
        return {}
    hidden = {name: "(secret)" if name in secrets else value for name, value in checked.kwargs.items()}
    return {"argsrepr": repr(checked.args), "kwargsrepr": repr(hidden)}


def secret_fields(task: Any) -> tuple[str, ...]:
    """The fields of a task's input that are typed as secrets; none where it is not guarded."""
    return task.contract.secrets if hasattr(task, "contract") else ()
