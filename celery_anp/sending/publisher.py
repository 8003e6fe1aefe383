"""From a call to its row and its message. The row comes first; the message is only a doorbell.

Where queue and broker are plain Redis lists, the script that queues a run also puts its message on the list; the one
that plans it tells Celery's event of it too: one round trip. Elsewhere kombu publishes it once the row is planned, and
upkeep each further time.

Celery's signals of a publish are sent with the first message, by who publishes: what a script sends later, when the run
becomes due, gets its lock or is tried again, has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from celery.app.amqp import AMQP, task_message
from celery.utils.log import get_logger
from kombu.utils import json

from celery_anp.reliability import sentinel
from celery_anp.reliability.records import Handed, NewRun, Planned, Told
from celery_anp.sending.call import OPTION, Call
from celery_anp.sending.message import KEPT, PLAIN, STAMP, Doorbell, event, read_back, seal
from celery_anp.settings import settings

if TYPE_CHECKING:
    from celery import Celery

log = get_logger(__name__)

#: Options of a publish that only kombu can follow.
DELIVERY = ("exchange", "routing_key", "exchange_type", "compression", "expiration")
#: Options of the transport that change where an event goes.
FANOUT = {"fanout_prefix", "fanout_patterns", "sentinel_fanout_compat"}
#: Headers that tie a message to its canvas.
FAMILY = ("group", "group_index", "root_id", "parent_id")


def broker_url(app: Any) -> str:
    """The URL, as redis-py reads it, of the Redis that is this app's broker and so its ledger."""
    url = str(app.conf.broker_url or settings().redis_url)
    service = (app.conf.broker_transport_options or {}).get("master_name")
    return f"{url}?service={service}" if sentinel.is_sentinel(url) and service and "?" not in url else url


class LedgerAMQP(AMQP):
    """Celery's publisher with the ledger before it."""

    @cached_property
    def send_unplanned(self) -> Any:
        """Celery's own sender, for a message whose row is planned."""
        return super()._create_task_sender()

    @property
    def create_task_message(self) -> Any:
        """Protocol 2, also where `task_protocol` is 1: each worker since Celery 4 reads it, and a row has headers."""
        return self.as_task_v2

    def _create_task_sender(self) -> Any:
        return self._plan_then_send

    def _plan_then_send(self, producer: Any, name: str, message: task_message, **options: Any) -> Any:
        call: Call | None = options.pop(OPTION, None)
        if call is None:
            return self.send_unplanned(producer, name, message, **options)
        message.headers.update(options.pop("headers", None) or {})
        queue = self.queue_name(options.get("queue") or self._bound(options))
        by_kombu = not self.sends_itself(queue, options)
        told = None if by_kombu else self._told(queue, message, options)
        if told:
            message = message._replace(sent_event=None)
        plan = partial(call.plan, queue=queue, told=told, by_kombu=by_kombu)
        return self.send_unplanned(Doorbell(producer, plan), name, message, **options)

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

    def _bound(self, options: Mapping[str, Any]) -> Any:
        """The queue that an exchange with a routing key leads to, where one is named and no queue."""
        exchange = options.get("exchange")
        name = getattr(exchange, "name", exchange)
        if not name:
            return None
        ways = ((one, one.exchange.name, one.routing_key) for one in self.queues.values() if one.exchange)
        return next((one for one, of, key in ways if (of, key) == (name, options.get("routing_key"))), None)

    def _told(self, queue: str, message: task_message, options: Mapping[str, Any]) -> Told | None:
        """The event that a message is sent, as Celery makes it; None where there is none, or kombu shall publish it."""
        conf = self.app.conf
        kombus = (conf.broker_transport_options or {}).keys() & FANOUT or conf.event_serializer != "json"
        if not message.sent_event or options.get("event_dispatcher") or kombus:
            return None
        fields = {**message.sent_event, "queue": queue, "exchange": "", "routing_key": queue}
        return event(self._teller, "task-sent", fields, self.app.ledger.store.database)

    @cached_property
    def _teller(self) -> Any:
        return self.app.events.Dispatcher(enabled=False)  # it only makes the events, as Celery's own

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


def send(app: Celery, handed: Handed, producer: Any = None) -> int:
    """Send the messages that only kombu can send, in one pipeline.

    Args:
        app: the guarded app.
        handed: what to send.
        producer: one to use; otherwise the app's pool gives one.

    Returns:
        How many were sent. A publish that raised may still have happened, which does no harm.
    """
    if not handed.messages:
        return 0
    with app.producer_or_acquire(producer) as sender, _pipelined(sender):
        out = [run_id for run_id, text in handed.messages if _send_one(app, sender, run_id, text, handed.stamp)]
    plain = [run_id for run_id, text in handed.messages if f'"{PLAIN}": true' in text and run_id in out]
    if plain:
        app.ledger.sent(plain)
    return len(out)


def _pipelined(producer: Any) -> AbstractContextManager[Any]:
    """Messages of a producer in one pipeline; before kombu 5.7 they go one by one."""
    batch = getattr(producer, "batch", None)
    return batch(500) if batch else nullcontext()


def send_held(app: Any, runs: Iterable[NewRun], planned: Iterable[Planned]) -> None:
    """Send what its planner is to send, if the broker lets us: whatever it says, upkeep rings again.

    Args:
        app: the guarded app.
        runs: what was planned.
        planned: what became of it.
    """
    stamps = {one.run_id: one.stamp for one in planned if one.stamp}
    messages = tuple((run.run_id, run.message.text) for run in runs if run.run_id in stamps and run.message)
    try:
        send(app, Handed(max(stamps.values(), default=0), messages))
    except Exception as error:
        log.warning("a message was not sent, upkeep will ring again: %s", error)


def _send_one(app: Any, producer: Any, identity: str, text: str, stamp: int) -> bool:
    try:
        kept = read_back(text)
        properties = {name: kept.property(name) for name in KEPT if kept.property(name) is not None}
        message = task_message(kept.headers, properties, tuple(kept.body), None)
        name, queue, priority = kept.headers["task"], kept.queue, kept.priority
    except (ValueError, KeyError, TypeError) as error:
        log.error("the row of %s holds no message that can be sent: %r", identity, error)
        return False
    options: dict[str, Any] = {"priority": priority} if priority else {}

    def amended(sent: task_message, **_: Any) -> int:
        """Signals had their say: what they added is the row's too."""
        if sent.headers != kept.headers:
            anew = kept.with_headers({**sent.headers, STAMP: 0}).text(json.dumps)
            app.ledger.amend(identity, seal(text), anew, seal(anew))
        return stamp

    app.amqp.send_unplanned(Doorbell(producer, amended), name, message, queue=queue, **options)
    return True
