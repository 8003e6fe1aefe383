"""A call on its way through Celery, which builds its message; then one script plans its row and sends it.

Everything that publishes passes `Celery.send_task`: `.delay`, canvas, Flower, by name. There the input is checked and
the call is made. It travels as an option of its own: what stands in the headers is copied into JSON by others, such as
sentry-sdk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uuid_utils
from celery.app.amqp import task_message

from celery_anp import bounds
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadUsage
from celery_anp.reliability.records import Key, NewRun, Planned, Timing, Told
from celery_anp.reliability.run import is_tick_id
from celery_anp.sending.draft import draft
from celery_anp.sending.message import MOST_PRIORITY, written
from celery_anp.wording import shown

#: Options of `apply_async` that stand in the message: seconds, whole numbers with the largest, and names.
LIMITS = frozenset({"time_limit", "soft_time_limit"})
WHOLE = {"priority": MOST_PRIORITY, "retries": 1_000_000}
NAMES = frozenset({"queue", "reply_to", "correlation_id"})
#: Characters of an idempotency key.
KEY = 200
#: The option of `Celery.send_task`, which hands whatever it does not know to the publisher.
OPTION = "anp_call"


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
        message.headers.update(_said(self.new.timing))
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
        BadUsage: a key inside a canvas, the id of a tick, or a time, a number or a name that cannot go into a row.
    """
    name, task_id, unique_for = (options.pop(option, None) for option in ("key", "task_id", "unique_for"))
    if task_id is not None and (name is not None or unique_for is not None):
        raise BadUsage(
            "An idempotency key cannot be used here",
            expected="no id of its own: a canvas has frozen this one",
            given=shown(name or unique_for),
        )
    if isinstance(task_id, str) and is_tick_id(task_id) and not task.ledger.waits(task_id):
        raise BadUsage(
            f"{task_id} cannot be the id of a call",
            expected="an id without the form of a tick's: only beat and operators give those",
        )
    named = name is not None or unique_for is not None
    check_options(options)
    key = Key(checked.digest(), _whole_milliseconds(unique_for)) if named else None
    timing = timing_of(options.pop("countdown", None), options.pop("eta", None), options.pop("expires", None))
    run_id = new_id(task.name, name) if task_id is None else bounds.name(_text(task_id), "task_id")
    return Call(task, draft(task, run_id, checked, timing=timing, key=key))


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what a worker could not read of a message.

    Args:
        options: options of `apply_async`; those that are None are not given.

    Raises:
        BadUsage: one has another type, is not finite or out of range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & LIMITS:
        bounds.seconds(given[name], name, least=0)
    for name in given.keys() & WHOLE.keys():
        bounds.whole(given[name], name, 0, WHOLE[name])
    for name in given.keys() & NAMES:
        bounds.name(getattr(given[name], "name", given[name]), name)  # a queue may be an object of kombu's
    headers = given.get("headers", {})
    if not isinstance(headers, Mapping) or not all(isinstance(name, str) for name in headers):
        raise BadUsage("headers cannot be used", expected="values by name", given=shown(headers))


def _said(timing: Timing) -> dict[str, str]:
    """When a run is due and until when it may begin, as bodies see it in their request; the row alone decides."""
    due = timing.due if timing.delay is None else datetime.now(UTC).timestamp() * 1000 + timing.delay
    times = {"eta": due, "expires": timing.deadline}
    return {name: datetime.fromtimestamp(time / 1000, UTC).isoformat() for name, time in times.items() if time}


def _text(task_id: Any) -> Any:
    return str(task_id) if isinstance(task_id, UUID) else task_id


def new_id(task: str, key: str | None) -> str:
    """The id of a run by hand: `<task>#<idempotency key>`, or a UUID (version 7), as Celery's own ids are.

    Raises:
        BadUsage: the key is no name.
    """
    if key is None:
        return str(uuid_utils.uuid7())
    if not isinstance(key, str) or len(key) > KEY:
        expected = f"a text of at most {KEY} characters"
        raise BadUsage("The idempotency key cannot be used", expected=expected, given=shown(key))
    bounds.name(key, "The idempotency key", without="|")
    return f"{task}#{key}"


def _whole_milliseconds(unique_for: float | timedelta | None) -> int:
    if unique_for is None:
        return 0
    span = unique_for.total_seconds() if isinstance(unique_for, timedelta) else unique_for
    return int(bounds.seconds(span, "unique_for", least=0.001, most=366 * 86_400) * 1000)


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
    if isinstance(eta, datetime | str):
        return bounds.moment(eta, "eta") - datetime.now(UTC).timestamp()
    what, pause = ("countdown", countdown) if eta is None else ("eta", eta)
    return 0.0 if pause is None else bounds.seconds(pause, what)


def _due(countdown: float | None, eta: datetime | str | None) -> tuple[int, int | None]:
    delay = None if countdown is None else int(bounds.seconds(countdown, "countdown") * 1000)
    if eta is not None:
        return int(bounds.moment(eta, "eta") * 1000), None
    return 0, delay or None


def _deadline(expires: float | datetime | str | None) -> int:
    """In ms since the epoch; one before it has passed as well, and 0 would be none."""
    if expires is None:
        return 0
    if isinstance(expires, (datetime, str)):
        return max(1, int(bounds.moment(expires, "expires") * 1000))
    return int((datetime.now(UTC).timestamp() + bounds.seconds(expires, "expires")) * 1000)
