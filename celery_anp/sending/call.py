"""A call on its way through Celery, which builds its message; then one script plans its row and sends it.

Everything that publishes passes `Celery.send_task`: `.delay`, canvas, Flower, by name. There the input is checked and
the call is made. It travels as an option of its own: what stands in the headers is copied into JSON by others, such as
sentry-sdk.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from celery.app.amqp import task_message

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadUsage
from celery_anp.reliability.records import Key, NewRun, Planned, Timing, Told
from celery_anp.reliability.run import is_tick_id
from celery_anp.sending.draft import draft
from celery_anp.sending.message import written
from celery_anp.wording import shown

#: The option of `Celery.send_task`, which hands whatever it does not know to the publisher.
OPTION = "anp_call"
#: Seconds of a century.
CENTURY = 100 * 366 * 86_400


class Call:
    """One call, planned at most once.

    Args:
        task: the task.
        new: its row, which has no message yet.
    """

    def __init__(self, task: DeclaredTask, new: NewRun) -> None:
        self.task = task
        self.new = new
        #: What became of it; None until then.
        self.planned: Planned | None = None

    def plan(
        self,
        message: task_message,
        queue: str,
        priority: int | None,
        told: Told | None = None,
        *,
        by_kombu: bool = False,
    ) -> int:
        """Plan its row with the message that Celery built.

        Args:
            message: the message.
            queue: its queue.
            priority: 0 to 9, or None.
            told: Celery's event that it is sent, which the script tells.
            by_kombu: no script can put the message on the queue's list.

        Returns:
            The stamp with which kombu is to send the message; 0 where there is nothing to send.

        Raises:
            KeyConflict, LedgerFull, LedgerUnavailable: nothing was planned.
        """
        new = replace(self.new, message=written(message, queue, priority, told, by_kombu=by_kombu))
        (self.planned,) = self.task.ledger.plan([new])
        return self.planned.stamp


def called(task: DeclaredTask, checked: Checked, options: dict[str, Any]) -> Call:
    """A call; takes what is ours out of the options, so that Celery does not see it.

    Args:
        task: the task.
        checked: its input.
        options: the options of `apply_async`. `key`, `unique_for` (seconds), `task_id` (given by the caller or frozen
            by a canvas), `countdown`, `eta` and `expires` are taken out.

    Raises:
        BadUsage: a key inside a canvas, the id of a tick, or a time that cannot be read.
    """
    name, task_id, unique_for = (options.pop(option, None) for option in ("key", "task_id", "unique_for"))
    if task_id is not None and (name is not None or unique_for is not None):
        raise BadUsage(
            "An idempotency key cannot be used here",
            expected="no id of its own: a canvas has frozen this one",
            given=str(name or unique_for),
        )
    if task_id is not None and is_tick_id(task_id):
        raise BadUsage(
            f"{task_id} cannot be the id of a call",
            expected="an id without the form of a tick's: only beat and operators give those",
        )
    named = name is not None or unique_for is not None
    key = Key(checked.digest(), _whole_milliseconds(unique_for)) if named else None
    timing = timing_of(options.pop("countdown", None), options.pop("eta", None), options.pop("expires", None))
    return Call(task, draft(task, task_id or new_id(task.name, name), checked, timing=timing, key=key))


def new_id(task: str, key: str | None) -> str:
    """The id of a run by hand: `<task>#<idempotency key>`, or `<task>#<uuid7>` without one."""
    if key is not None and not (key and key.isprintable() and len(key) <= 200 and "|" not in key):
        raise BadUsage(
            "The idempotency key cannot be used",
            expected="1 to 200 printable characters without |",
            given=repr(key),
        )
    return f"{task}#{key or uuid_utils.uuid7()}"


def _whole_milliseconds(unique_for: float | timedelta | None) -> int:
    if unique_for is None:
        return 0
    seconds = unique_for.total_seconds() if isinstance(unique_for, timedelta) else unique_for
    if not isinstance(seconds, (int, float)) or not 0.001 <= seconds <= 366 * 86_400:
        raise BadUsage("unique_for cannot be used", expected="seconds, up to a year", given=repr(unique_for))
    return int(seconds * 1000)


def timing_of(countdown: float | None, eta: datetime | str | None, expires: float | datetime | str | None) -> Timing:
    """When a run begins, as Celery's options say it.

    Raises:
        BadUsage: a time cannot be read.
    """
    due, delay = _due(countdown, eta)
    return Timing(due, delay, _deadline(expires))


def seconds_until(countdown: float | None, eta: datetime | float | str | None) -> float:
    """The pause until a body is tried again, in seconds; negative for a time in the past.

    Args:
        countdown: the pause, where there is no eta.
        eta: a time, as a datetime or ISO 8601; or a pause too, as Celery's `Retry` has it.

    Raises:
        BadUsage: it is none of these, or not within a century.
    """
    what, given = ("countdown", countdown) if eta is None else ("eta", eta)
    seconds = float("nan")
    with suppress(AttributeError, OverflowError):
        if given is None or isinstance(given, (int, float)):
            seconds = float(given or 0.0)
        elif isinstance(given, (datetime, str)) and what == "eta":
            seconds = _milliseconds(given, what) / 1000 - datetime.now(UTC).timestamp()
    if not -CENTURY <= seconds <= CENTURY:
        expected = "a finite number of seconds within a century" + (", or a time" if what == "eta" else "")
        raise BadUsage(f"{what} cannot be used", expected=expected, given=shown(given, 200))
    return seconds


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
