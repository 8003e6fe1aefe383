"""Lets a worker's publishes hang from SIGUSR2 to SIGUSR2, as on a connection whose other end has gone silent."""

from __future__ import annotations

import signal
import threading
from typing import Any

from celery import signals

from celery_anp.reliability.records import Handed
from celery_anp.sending import publisher

_send = publisher.send
_flowing = threading.Event()
_flowing.set()


def _hanging(app: Any, handed: Handed, producer: Any = None) -> int:
    if handed.messages:
        _flowing.wait()
    return _send(app, handed, producer)


publisher.send = _hanging


@signals.worker_ready.connect(weak=False)
def _listen(**_: Any) -> None:
    def turn(*_: Any) -> None:
        (_flowing.clear if _flowing.is_set() else _flowing.set)()

    signal.signal(signal.SIGUSR2, turn)
