"""Beat answers Celery's remote ping, as workers do: `celery inspect ping -d beat@host`.

Only while its rounds go on: a beat that plans nothing, or stands still, is silent. It answers nothing else, so that
Flower does not take it for a worker.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from celery.utils.log import get_logger

log = get_logger(__name__)

#: Seconds that one wait for a message may take, and until the next try after a lost connection.
WAIT, AGAIN = 1.0, 5.0


class Ping:
    """A thread that answers until `stop`.

    Args:
        app: the Celery app.
        works: whether beat does its work now.
    """

    def __init__(self, app: Any, works: Callable[[], bool]) -> None:
        self.app = app
        self.works = works
        self.name = f"beat@{socket.gethostname()}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="anp-ping", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nothing more."""
        self._stop.set()
        self._thread.join(timeout=2 * WAIT)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._answer()
            except Exception as error:
                log.warning("beat does not hear remote pings, it tries again: %r", error)
                self._stop.wait(AGAIN)

    def _answer(self) -> None:
        with self.app.connection_for_read() as connection:
            node = self.app.control.mailbox.Node(
                self.name, channel=connection.channel(), handlers={"ping": lambda _state, **_: {"ok": "pong"}}
            )

            def heard(body: Mapping[str, Any], message: Any) -> None:
                if body.get("method") == "ping" and self.works():
                    node.handle_message(body, message)

            with node.listen(callback=heard):
                while not self._stop.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=WAIT)
