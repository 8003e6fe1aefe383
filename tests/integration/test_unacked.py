"""What a worker has taken and not begun: doorbells stay out of kombu's record, and a stop puts them back at once."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from tests.support.doubled import double
from tests.support.eventually import eventually
from tests.support.probe import add, limited, plain, probe
from tests.support.stack import Stack

pytestmark = pytest.mark.long


def test_doorbells_stay_out_of_kombus_record(stack: Stack, redis: Redis) -> None:
    running = probe.delay(str(stack.journal), [["sleep", 5]])
    waiting = [add.delay(n, n) for n in range(3)]
    stack.worker(concurrency=1)
    eventually(lambda: redis.llen("default") == 0, 20, "the worker to take all messages")
    assert stack.run(waiting[-1].id).state == "queued"
    assert not redis.exists("unacked", "unacked_index")
    for result in (running, *waiting):
        assert stack.ends(result.id).state == "succeeded"


def test_a_doubled_doorbell_spends_no_token_of_a_rate_limit(stack: Stack, redis: Redis) -> None:
    worker = stack.worker(concurrency=1)
    first = [limited.delay(n) for n in range(4)]
    for result in first[1:]:
        assert double(stack.ledger, result.id)
    last = limited.delay(4)
    assert [stack.ends(one.id).result for one in (*first, last)] == [0, 1, 2, 3, 4]
    eventually(lambda: redis.llen("default") == 0, 20, "the worker to take the copies")
    assert "has nothing to do" not in worker.said()


def test_a_message_of_an_unguarded_task_stays_kombus(stack: Stack, redis: Redis) -> None:
    plain.apply_async((1,), countdown=60)  # kombu holds it back, unacknowledged
    stack.worker(concurrency=1)
    eventually(lambda: redis.hlen("unacked") == 1, 20, "kombu to record the message that is not ours")


def test_a_stopped_worker_puts_back_what_it_had_not_begun(stack: Stack, redis: Redis) -> None:
    running = probe.delay(str(stack.journal), [["sleep", 2]])
    waiting = [add.delay(n, n) for n in range(3)]
    worker = stack.worker(concurrency=1)
    eventually(lambda: redis.llen("default") == 0, 20, "the worker to take all messages")
    stack.reaches(running.id, "running", 20)
    worker.stop(timeout=40)
    messages = [json.loads(text) for text in redis.lrange("default", 0, -1)]
    back = {message["headers"]["id"] for message in messages if message["headers"].get("redelivered")}
    # the one that ran may be there too: its acceptance and the stop crossed, and a doubled message does no harm
    assert back >= {one.id for one in waiting}
    stack.worker()
    assert [stack.reaches(one.id, "succeeded", 30).result for one in waiting] == [0, 2, 4]
    assert [stack.run(one.id).attempts for one in waiting] == [1, 1, 1]
