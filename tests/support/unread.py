"""Makes a worker stop reading what its children say on SIGUSR2, as a consumer that connected again was seen to."""

from __future__ import annotations

import signal
from typing import Any

from celery import signals


@signals.worker_ready.connect(weak=False)
def _listen(sender: Any, **_: Any) -> None:
    def stop_reading(*_: Any) -> None:
        for file in sender.pool._pool._fileno_to_outq:
            sender.hub.remove_reader(file)

    signal.signal(signal.SIGUSR2, stop_reading)
