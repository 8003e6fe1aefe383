"""Makes a worker stall on SIGUSR2: its event loop goes on, but hears nothing more from the broker."""

from __future__ import annotations

import signal
from typing import Any

from celery import signals

from celery_anp.node import watchdog

watchdog.PATIENCE = 3.0
watchdog.INTERVAL = 0.5


@signals.worker_ready.connect(weak=False)
def _listen(sender: Any, **_: Any) -> None:
    def stall(*_: Any) -> None:
        for channel in sender.connection.transport.cycle._channels:
            channel._active_queues.clear()  # no further BRPOP: the one under way may still bring a message

    signal.signal(signal.SIGUSR2, stall)
