"""Lets a worker's main process stand still each time before it takes notice that a body has begun.

The gate is `heard` of the journal at UNHEARD. On SIGUSR2 the pool shrinks by one, as `pool_shrink` asks it to.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from billiard.pool import ApplyResult
from celery import signals

from tests.support.journal import Journal

_taken = ApplyResult._ack


def _take_notice(job: Any, *told: Any) -> Any:
    Journal(os.environ["UNHEARD"]).wait_at("heard")
    return _taken(job, *told)


ApplyResult._ack = _take_notice


@signals.worker_ready.connect(weak=False)
def _listen(sender: Any, **_: Any) -> None:
    def shrink(*_: Any) -> None:
        try:
            sender.pool.shrink(1)
        except ValueError as error:  # every child has work
            print(error, flush=True)

    signal.signal(signal.SIGUSR2, shrink)
