"""How a worker reads its broker: what cannot be read is set aside, and costs nothing but itself.

kombu and Celery take each field of a message for what it should be. Where it is not, the error comes out of the event
loop: it ends the worker, and the next one that gets the message; or it is taken for a lost connection (a `KeyError` is,
since kombu 5.7), and the worker connects again and consumes nothing. So whatever comes is looked at before they read
it, and an error that is no fault of the connection is the message's.

Limit: a Redis transport. What came on a channel of remote control or of events is only logged: it comes to every worker
alike, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from kombu.exceptions import InconsistencyError
from kombu.transport import virtual
from kombu.transport.redis import Channel
from redis.exceptions import RedisError

from celery_anp.seams import readable
from celery_anp.seams.unacked import DoorbellQoS
from celery_anp.sending.message import seal

log = get_logger(__name__)

#: Errors that are none of the message's: of the connection, of a worker without memory, and "there is nothing".
NOT_ITS_FAULT = (OSError, RedisError, InconsistencyError, MemoryError, Empty)
#: Who sets a message aside: it gets the broker's list, the text, and why.
SetAside = Callable[[str, bytes, Exception], None]


class CheckedMessage(virtual.Message):
    """A message that kombu can read."""

    def __init__(self, payload: Any, channel: Any = None, **known: Any) -> None:
        """As kombu makes it from JSON.

        Raises:
            Unreadable: it cannot be read.
        """
        #: The list that it came from and its text; None where it came otherwise.
        self.came: tuple[str, bytes] | None = getattr(channel, "came", None)
        text = self.came[1] if self.came else b""
        readable.check_envelope(payload, text)
        headers, properties = payload.get("headers") or {}, payload["properties"]
        if compression := headers.get("compression"):
            packed = channel.decode_body(payload["body"], properties.get("body_encoding"))
            readable.check_size(packed, compression)
        super().__init__(payload, channel=channel, **known)
        #: What tells it from every other message; empty where no row has written it.
        self.seal = seal(text)
        if self.came is None:
            readable.check_broadcast(self)


class ReadingChannel(Channel):
    """Reads lists and broadcasts, and goes on after what cannot be read."""

    Message = CheckedMessage
    QoS = DoorbellQoS
    set_aside: SetAside
    #: The list and the text of what is being delivered.
    came: tuple[str, bytes] | None = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """The client that listens keeps what it has heard last."""
        client = super()._create_client(asynchronous)
        if asynchronous:
            client.parse_response = self._hearing(client.parse_response)
        return client

    def _hearing(self, parse_response: Callable[..., Any]) -> Callable[..., Any]:
        def heard(connection: Any, command: str, **options: Any) -> Any:
            answer = parse_response(connection, command, **options)
            if command == "BRPOP" and answer:
                self.came = answer[0].decode(errors="replace").split(self.sep, 1)[0], answer[1]
                readable.check_text(answer[1])
            return answer

        return heard

    def _brpop_read(self, **options: Any) -> Any:
        """A message of a list."""
        self.came = None
        try:
            return super()._brpop_read(**options)
        except NOT_ITS_FAULT:
            raise
        except Exception as error:
            if self.came is None:
                raise
            self.set_aside(*self.came, error)
            return True
        finally:
            self.came = None

    def _receive_one(self, listening: Any) -> Any:
        """A broadcast: remote control, or an event."""
        try:
            return super()._receive_one(listening)
        except NOT_ITS_FAULT:
            raise
        except Exception as error:
            log.warning("a broadcast cannot be read and is dropped: %s: %s", type(error).__name__, error)
            return True


def read_through(connection: Any, set_aside: SetAside) -> Any:
    """Let a connection that consumes read so.

    Args:
        connection: kombu's, before it is connected.
        set_aside: gets what cannot be read.

    Returns:
        The same connection.
    """
    transport = connection.transport
    if issubclass(transport.Channel, Channel):
        members = {"set_aside": staticmethod(set_aside)}
        transport.Channel = type("ReadingChannel", (ReadingChannel, transport.Channel), members)
    return connection
