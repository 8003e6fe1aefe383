"""A run's message: its row keeps it as the broker's list holds it, so that any script that queues the run sends it.

Celery's event of it, `task-sent`, goes with the first one.

Limit: only onto a plain list. Where kombu would do more (an exchange, a compression, a queue that expires), kombu
publishes after the row is planned.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from celery.app.amqp import task_message
from kombu.exceptions import EncodeError
from kombu.utils import json

from celery_anp import bounds
from celery_anp.contract.signature import Checked
from celery_anp.errors import BadInput, LimitExceeded
from celery_anp.redaction import hidden
from celery_anp.reliability.message import SECRETS, Opened, opened
from celery_anp.reliability.records import Message, Told
from celery_anp.security import INPUT_LIMIT, NESTING_LIMIT
from celery_anp.sending.nesting import is_nested

#: The header that marks a message as ours: the time of its ring, ms by Redis' clock.
STAMP = "anp_rung"
#: How `pack` begins a message: what follows is its stamp.
START = f'{{"headers": {{"{STAMP}": '.encode()
#: The header of a message whose task is not guarded: nothing but the broker brings it back.
PLAIN = "anp_plain"
#: The steps to which kombu's Redis transport rounds a priority, each with a list of its own.
STEPS = (0, 3, 6, 9)
#: The largest priority that AMQP has; on Redis whatever is above 9 is 9.
MOST_PRIORITY = 255
#: Embedded parts of a message that make it a link of a canvas.
LINKS = ("callbacks", "errbacks", "chain", "chord")
#: Options of a call that stand in its message.
EMBEDDED = ("time_limit", "soft_time_limit", "expires", "shadow", "reply_to", "group_id", "root_id", "parent_id")
#: Properties of a message that its row keeps.
KEPT = ("correlation_id", "reply_to")


def pack(message: task_message, queue: str, priority: int | None) -> str:
    """A message as kombu's Redis transport writes it, with a place for the stamp before the other headers.

    Each time it is sent again it has the same delivery tag: kombu needs no other one for what is only a doorbell.

    Args:
        message: as Celery built it.
        queue: the queue's name.
        priority: 0 to 9, or None.

    Raises:
        BadInput: it holds what no message can.
        LimitExceeded: the input is too large, or nested deeper than a worker reads.
    """
    if is_nested([message.headers, *message.body], NESTING_LIMIT - 1):
        raise LimitExceeded(
            f"The input of {message.headers['task']!r} is nested too deeply",
            expected=f"at most {NESTING_LIMIT} levels of lists and objects, with what follows it",
        )
    named = {STAMP: 0, **{name: value for name, value in message.headers.items() if name != STAMP}}
    try:
        headers, body = json.dumps(named), json.dumps(message.body)
    except (EncodeError, TypeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"The input of {message.headers['task']!r} cannot be sent", expected="JSON values", given=str(error)
        ) from None
    check_size(message.headers["task"], len(headers) + len(body))
    rest = json.dumps({
        "body": body, "content-encoding": "utf-8", "content-type": "application/json",
        "properties": {
            **message.properties, "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": priority or 0, "body_encoding": "utf-8", "delivery_tag": str(uuid4()),
        },
    })  # fmt: skip
    return f'{{"headers": {headers}, {rest[1:]}'


def check_size(task: str, size: int) -> None:
    """Refuse an input that is too large.

    Args:
        task: the name of its task.
        size: bytes of its message, headers and body.

    Raises:
        LimitExceeded: it is.
    """
    if size > INPUT_LIMIT:
        raise LimitExceeded(
            f"The input of {task!r} is too large",
            expected=f"at most {INPUT_LIMIT} bytes with its message",
            given=f"{size} bytes",
        )


def seal(text: str | bytes) -> str:
    """What tells a message from every other: a digest of its text but for the stamp.

    Args:
        text: as its row keeps it or the broker's list holds it.

    Returns:
        The digest; empty for a text that `pack` did not write, as where kombu sends it.
    """
    raw = text if isinstance(text, bytes) else text.encode()
    stamp, comma, rest = raw[len(START) :].partition(b",") if raw.startswith(START) else (b"", b"", b"")
    return blake2b(rest, digest_size=12).hexdigest() if comma and stamp.isdigit() else ""


def read_back(text: str) -> Opened:
    """A message from its row, with everything that Celery put into it."""
    return opened(text, json.loads)


def list_key(queue: str, priority: int | None) -> str:
    """The broker's list for a queue and priority, as kombu's Redis transport names it.

    Raises:
        BadUsage: the priority is none.
    """
    step = STEPS[bisect(STEPS, min(bounds.whole(priority or 0, "priority", 0, MOST_PRIORITY), 9)) - 1]
    return f"{queue}\x06\x16{step}" if step else queue


def written(
    message: task_message,
    queue: str,
    priority: int | None,
    told: Told | None = None,
    *,
    plain: bool = False,
    by_kombu: bool = False,
    held: bool = False,
) -> Message:
    """A message for its row.

    Args:
        message: as Celery built it.
        queue: the queue's name.
        priority: 0 to 9, or None.
        told: Celery's event that it is sent, which the script tells.
        plain: its task is not guarded: nothing but the broker brings it back.
        by_kombu: only kombu can send it; who plans the run lets it do so.
        held: who plans the run sends it, or has it already.

    Raises:
        LimitExceeded: the input is too large.
    """
    if plain:
        message.headers[PLAIN] = True
    text, linked = pack(message, queue, priority), any(message.body[2].get(name) for name in LINKS)
    where = list_key(queue, priority)
    recorded = not message.headers.get("ignore_result")
    return Message(text, where, queue, seal(text), linked, by_kombu, held or by_kombu, told, recorded)


def built(
    task: Any, run_id: str, checked: Checked, options: Mapping[str, Any] | None = None
) -> tuple[task_message, str, int | None]:
    """A message as `send_task` would build it, without sending it.

    Args:
        task: the task, guarded or not.
        run_id: the run's id.
        checked: its input.
        options: what is asked for, as `apply_async` takes it; links as they are to go out.

    Returns:
        The message, its queue and its priority.
    """
    app = task.app
    merged = {**{k: v for k, v in task._get_exec_options().items() if v is not None}, **(options or {})}
    routed = app.amqp.router.route(dict(merged), task.name, checked.args, checked.kwargs, task)
    embedded = {name: merged[name] for name in EMBEDDED if merged.get(name) is not None}
    message = app.amqp.as_task_v2(
        run_id,
        task.name,
        checked.args,
        checked.kwargs,
        callbacks=merged.get("link"),
        errbacks=merged.get("link_error"),
        ignore_result=merged.get("ignore_result") or False,
        **embedded,
        **shown(task, checked),
    )
    message.headers.update(merged.get("headers") or {})
    if secrets := secret_fields(task):
        message.headers[SECRETS] = list(secrets)
    return message, app.amqp.queue_name(routed.get("queue")), routed.get("priority")


def queue_of(task: Any, queue: str | None = None) -> str:
    """The name of the queue that a task's messages go to, unless one is asked for."""
    options = {name: value for name, value in task._get_exec_options().items() if value is not None}
    routed = task.app.amqp.router.route({**options, **({"queue": queue} if queue else {})}, task.name, (), {}, task)
    return str(task.app.amqp.queue_name(routed.get("queue")))


def shown(task: Any, checked: Checked) -> dict[str, str]:
    """How the input looks in Celery's logs and in Flower: without its secrets."""
    secrets = secret_fields(task)
    if not secrets:
        return {}
    return {"argsrepr": repr(checked.args), "kwargsrepr": repr(hidden(checked.kwargs, secrets))}


def secret_fields(task: Any) -> tuple[str, ...]:
    """The fields of a task's input that are typed as secrets; none where it is not guarded."""
    return task.contract.secrets if hasattr(task, "contract") else ()


def event(dispatcher: Any, kind: str, fields: dict[str, Any], database: int) -> Told:
    """An event as kombu's Redis transport would publish it, made without asking Redis.

    Args:
        dispatcher: Celery's; it makes the event.
        kind: e.g. `task-sent`.
        fields: what it tells.
        database: number of the broker's Redis database, which is part of the channel's name.

    Returns:
        The event.
    """
    made = _Made()
    dispatcher.publish(kind, fields, made)
    exchange, routing_key = made.options["exchange"], made.options["routing_key"]
    text = json.dumps({
        "body": json.dumps(made.event), "content-encoding": "utf-8", "content-type": "application/json",
        "headers": made.options["headers"],
        "properties": {
            "delivery_mode": made.options["delivery_mode"],
            "delivery_info": {"exchange": exchange, "routing_key": routing_key},
            "priority": 0, "body_encoding": "utf-8", "delivery_tag": str(uuid4()),
        },
    })  # fmt: skip
    return Told(f"/{database}.{exchange}/{routing_key}", text)


class _Made:
    """Stands in for kombu's producer while Celery makes an event."""

    event: Any
    options: dict[str, Any]

    def publish(self, event: Any, **options: Any) -> None:
        self.event, self.options = event, options


class Doorbell:
    """Stands in for kombu's producer while Celery publishes one message: what plans the row sends it, or lets kombu.

    Args:
        producer: kombu's, for whatever else is published meanwhile (events).
        plan: gets the message, after the signals had their say on its headers, and `priority`; returns the stamp with
            which kombu is to send it, 0 where there is nothing to send.
    """

    def __init__(self, producer: Any, plan: Callable[..., int]) -> None:
        self._producer = producer
        self._plan: Callable[..., int] | None = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, **options: Any) -> Any:
        """The first is the run's message, every other one goes to the broker as it is."""
        plan, self._plan = self._plan, None
        if plan is None:
            return self._producer.publish(body, **options)
        properties = {name: options[name] for name in KEPT if options.get(name) is not None}
        stamp = plan(task_message(options["headers"], properties, body, None), priority=options.get("priority"))
        if not stamp:
            return None
        return self._producer.publish(body, **{**options, "headers": {**options["headers"], STAMP: stamp}})
