"""The ledger on a real Redis, with a clock that stands still until the test moves it."""

from __future__ import annotations

import os

import pytest
from redis import Redis

from celery_anp.reliability.store import Store, connect
from tests.support.moved import CLOCK, NODE, Moved


@pytest.fixture
def ledger(redis: Redis) -> Moved:
    redis.set(CLOCK, 1_000_000)
    ledger = Moved(Store(connect(os.environ["ANP_REDIS_URL"]), "anp", CLOCK), lease=10_000)
    ledger.heartbeat(NODE, {"kind": "worker"})
    return ledger
