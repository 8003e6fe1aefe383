"""From a call to a row and its message. The row comes first; the message is only a doorbell.

Everything that publishes passes `Celery.send_task`: `.delay`, canvas, Flower, by name. There the input is checked and
the run gets its id; the message is then built by Celery itself, and just before it goes out the row is planned.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import uuid_utils
from celery.app.amqp import AMQP, task_message
from celery.utils.log import get_logger
from kombu.utils import json

from worker import doorbell
from worker.contract import Checked
from worker.doorbell import Doorbell, pack
from worker.errors import BadUsage
from worker.reliability import sentinel
from worker.reliability.records import NewRun, Ring
from worker.settings import settings

if TYPE_CHECKING:
    from celery import Celery

    from worker.task import ReliableTask

log = get_logger(__name__)

#: The header that carries the draft from `send_task` to the publisher, inside one process.
DRAFT = "anp_draft"
#: The header that marks a message as ours: the time of its ring, ms by Redis' clock.
STAMP = doorbell.STAMP
#: Embedded parts of a message that make it a link of a canvas.
LINKS = ("callbacks", "errbacks", "chain", "chord")
#: Options of a publish that only kombu can follow.
DELIVERY = ("exchange", "routing_key", "exchange_type", "compression", "expiration")
#: Headers that tie a message to its canvas.
FAMILY = ("group", "group_index", "root_id", "parent_id")


@dataclass(slots=True)
class Draft:
    """A checked call on its way to become a row."""

    task: ReliableTask
    new: NewRun
    #: The run that the caller gets, once it is planned: an earlier one where `unique_for` says so.
    first: str | None = None


def run_id(task: str, key: str | None) -> str:
    """The id of a run by hand: `<task>#<idempotency key>`, or `<task>#<uuid7>` without one."""
    if key is not None and not (key and key.isprintable() and len(key) <= 200 and "|" not in key):
        raise BadUsage(
            "The idempotency key cannot be used",
            expected="1 to 200 printable characters without |",
            given=repr(key),
        )
    return f"{task}#{key or uuid_utils.uuid7()}"


def draft(task: ReliableTask, checked: Checked, options: dict[str, Any]) -> Draft:
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


def complete(new: NewRun, message: task_message, queue: str, priority: int | None, *, sends: bool = False) -> NewRun:
    """A row with the message that Celery built for it; with `sends`, the script that plans it also sends it."""
    embed = message.body[2]
    if new.unguarded:
        message.headers[doorbell.PLAIN] = True
    kept, wire = pack(message, queue, priority)
    return replace(
        new,
        message=kept,
        queue=queue,
        list=list_key(queue, priority),
        linked=any(embed.get(name) for name in LINKS),
        wire=wire if sends else "",
    )


def broker_url(app: Any) -> str:
    """The URL, as redis-py reads it, of the Redis that is this app's broker and so its ledger."""
    url = str(app.conf.broker_url or settings().redis_url)
    service = (app.conf.broker_transport_options or {}).get("master_name")
    return f"{url}?service={service}" if sentinel.is_sentinel(url) and service and "?" not in url else url


def list_key(queue: str, priority: int | None) -> str:
    """The broker's list for a queue and priority, as kombu's Redis transport names it."""
    steps = (0, 3, 6, 9)
    step = steps[bisect(steps, min(max(priority or 0, 0), 9)) - 1]
    return f"{queue}\x06\x16{step}" if step else queue


def plan(drafted: Draft, queue: str, message: task_message, priority: int | None) -> None:
    """Plan a row whose script also sends its message."""
    new = complete(drafted.new, message, queue, priority, sends=True)
    drafted.first = drafted.task.ledger.plan([new])[0][0].run_id


class LedgerAMQP(AMQP):
    """Celery's publisher with the ledger before it."""

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()

        def plan_then_send(producer: Any, name: str, message: task_message, **options: Any) -> Any:
            headers = dict(options.pop("headers", None) or {})
            drafted: Draft | None = headers.pop(DRAFT, None)
            if drafted is None:
                return send(producer, name, message, headers=headers, **options)
            message.headers.update(headers)
            queue = self.queue_name(options.get("queue"))
            if self.sends_itself(queue, options):
                return send(Doorbell(producer, partial(plan, drafted, queue)), name, message, **options)
            new = complete(drafted.new, message, queue, options.get("priority"))
            planned, ring = drafted.task.ledger.plan([new])
            drafted.first = planned[0].run_id
            if any(run_id == new.run_id for run_id, _ in ring.messages):
                return send(producer, name, message, headers={STAMP: ring.stamp}, **options)
            return None

        self.send_unplanned = send
        return plan_then_send

    def sends_itself(self, queue: str, options: Mapping[str, Any] = MappingProxyType({})) -> bool:
        """Whether the script that plans a row can put its message on the queue's list.

        Args:
            queue: the queue's name.
            options: how the message shall be published.

        Returns:
            False where kombu would do more: an exchange, another serializer, a compression, a queue that expires.
        """
        if queue not in self._plain_lists:
            self._plain_lists[queue] = self._is_plain_list(queue)
        plain = self._plain_lists[queue] and options.get("serializer", "json") == "json"
        return plain and not any(options.get(name) for name in DELIVERY)

    @cached_property
    def _plain_lists(self) -> dict[str, bool]:
        return {}

    def _is_plain_list(self, name: str) -> bool:
        conf, queue = self.app.conf, self.queues[name]
        transport = conf.broker_transport_options or {}
        return (
            getattr(queue.exchange, "type", "direct") == "direct"
            and not (queue.expires or (queue.queue_arguments or {}).get("x-expires"))
            and conf.task_serializer == "json"
            and not conf.task_compression
            and not transport.keys() & {"global_keyprefix", "sep", "priority_steps", "deadletter_queue"}
        )

    def queue_name(self, queue: Any) -> str:
        """The name of a queue, of its object, or of the default one."""
        return str(getattr(queue, "name", queue) or self.default_queue.name)


def ring(app: Celery, rung: Ring, producer: Any = None) -> int:
    """Send the messages that a script handed out, in one pipeline.

    Args:
        app: the guarded app.
        rung: what to send.
        producer: one to use; otherwise the app's pool gives one.

    Returns:
        How many were sent. A publish that raised may still have happened, which does no harm.
    """
    if not rung.messages:
        return 0
    app.amqp.send_task_message  # noqa: B018 - a cached property: makes the sender
    with app.producer_or_acquire(producer) as sender, sender.batch(500):
        out = [run_id for run_id, text in rung.messages if _ring_one(app, sender, run_id, text, rung.stamp)]
    plain = [run_id for run_id, text in rung.messages if f'"{doorbell.PLAIN}": true' in text and run_id in out]
    if plain:
        app.ledger.sent(plain)
    return len(out)


def try_ring(app: Any, rung: Ring) -> None:
    """Send messages if the broker lets us: whatever it says, upkeep rings again."""
    try:
        ring(app, rung)
    except Exception as error:
        log.warning("a message was not sent, upkeep will ring again: %s", error)


def _ring_one(app: Any, producer: Any, identity: str, text: str, stamp: int) -> bool:
    try:
        stored = json.loads(text)
        message = task_message(stored["headers"], stored["properties"], tuple(stored["body"]), None)
        queue, priority = stored["queue"], stored["priority"]
    except (ValueError, KeyError, TypeError) as error:
        log.error("the row of %s holds no message that can be sent: %r", identity, error)
        return False
    options = {} if priority is None else {"priority": priority}
    app.amqp.send_unplanned(producer, message.headers["task"], message, queue=queue, headers={STAMP: stamp}, **options)
    return True


def message_for(
    task: ReliableTask, identity: str, checked: Checked, options: Mapping[str, Any] | None = None
) -> tuple[task_message, str, int | None]:
    """A message as `send_task` would build it, without sending it; for beat.

    Args:
        task: the task.
        identity: the run's id.
        checked: its input.
        options: `queue` and `priority` that the schedule asks for.

    Returns:
        The message, its queue and its priority.
    """
    app = task.app
    merged = {**{k: v for k, v in task._get_exec_options().items() if v is not None}, **(options or {})}
    routed = app.amqp.router.route(dict(merged), task.name, checked.args, checked.kwargs, task)
    message = app.amqp.as_task_v2(
        identity,
        task.name,
        checked.args,
        checked.kwargs,
        time_limit=merged.get("time_limit"),
        soft_time_limit=merged.get("soft_time_limit"),
        ignore_result=merged.get("ignore_result", False),
        **shown(task, checked),
    )
    if secrets := secrets_of(task):
        message.headers["anp_secret"] = list(secrets)
    return message, app.amqp.queue_name(routed.get("queue")), routed.get("priority")


def shown(task: ReliableTask, checked: Checked) -> dict[str, str]:
    """How the input looks in Celery's logs and in Flower: without its secrets."""
    secrets = secrets_of(task)
    if not secrets:
        return {}
    hidden = {name: "(secret)" if name in secrets else value for name, value in checked.kwargs.items()}
    return {"argsrepr": repr(checked.args), "kwargsrepr": repr(hidden)}


def secrets_of(task: Any) -> tuple[str, ...]:
    """The fields of a task's input that are typed as secrets; none where it is not guarded."""
    return task.contract.secrets if hasattr(task, "contract") else ()
