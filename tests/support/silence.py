"""Lets a worker's publishes hang from SIGUSR2 to SIGUSR2, as on a connection whose other end has gone silent."""

from __future__ import annotations

import signal
import threading
from typing import Any

from celery import signals

from celery_anp.reliability.records import Ring
from celery_anp.sending import publisher

_ring = publisher.ring
_flowing = threading.Event()
_flowing.set()


def _hanging(app: Any, rung: Ring, producer: Any = None) -> int:
    if rung.messages:
        _flowing.wait()
    return _ring(app, rung, producer)


publisher.ring = _hanging


@signals.worker_ready.connect(weak=False)
def _listen(**_: Any) -> None:
    def turn(*_: Any) -> None:
        (_flowing.clear if _flowing.is_set() else _flowing.set)()

    signal.signal(signal.SIGUSR2, turn)
