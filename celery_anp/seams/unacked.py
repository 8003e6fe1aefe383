"""Kombu's record of what a worker has taken and not acknowledged, without the messages that the ledger brings back.

Kombu writes each message that it took into a hash in Redis and takes it out again at the acknowledgement: two round
trips of the worker's main process for a message, so that it is sent again an hour later. A doorbell of ours needs
neither: upkeep rings again within seconds. Limit: a Redis transport; messages of unguarded tasks stay kombu's.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import QoS

from celery_anp.sending.message import PLAIN, STAMP


class DoorbellQoS(QoS):
    """Keeps doorbells in memory only; a worker that stops puts back those that it has not begun."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was taken."""
        if is_doorbell(message):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """A message is done with."""
        if self._doorbell(delivery_tag) is None:
            super().ack(delivery_tag)
        else:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """A message is refused, or put back behind the others."""
        message = self._doorbell(delivery_tag)
        if message is None:
            super().reject(delivery_tag, requeue)
            return
        if requeue:
            self._put_back([message], leftmost=True)
        virtual.QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """The channel closes: what was taken and not begun goes back to the front of its list."""
        doorbells = {tag: message for tag, message in self._delivered.items() if is_doorbell(message)}
        self._put_back(doorbells.values(), client)
        for tag in doorbells:
            self._delivered.pop(tag, None)
        super().restore_unacked(client)

    def _doorbell(self, delivery_tag: str) -> Any:
        message = self._delivered.get(delivery_tag)
        return message if message is not None and is_doorbell(message) else None

    def _put_back(self, messages: Any, client: Any = None, leftmost: bool = False) -> None:
        with self.channel.conn_or_acquire(client) as redis, redis.pipeline(transaction=False) as pipe:
            for message in messages:
                where = message.delivery_info
                self.channel._do_restore_message(message._raw, where["exchange"], where["routing_key"], pipe, leftmost)
            pipe.execute()


def is_doorbell(message: Any) -> bool:
    """Whether a message is only a doorbell: its run has a row that upkeep looks after."""
    return STAMP in message.headers and PLAIN not in message.headers
