"""What comes to every worker (remote control, events): what cannot be read is dropped, and costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from kombu.utils.json import dumps

from tests.support import poison
from tests.support.eventually import eventually
from tests.support.probe import add
from tests.support.stack import Process, Stack, on_empty_redis
from tests.support.still_works import still_works
from worker.app import app

#: Damaged messages for each kind of broadcast.
MANY = 300


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[Stack]:
    """A worker that listens to the others, as Celery's do unless they are told not to."""
    with on_empty_redis(tmp_path_factory.mktemp("broadcasts")) as stack:
        worker = stack.start("worker", "-A", "worker.app", "worker", "-l", "INFO", "-c", "1", "-n", "own@host")
        eventually(lambda: " ready." in worker.said(), 30, "the worker to be ready")
        yield stack


@pytest.fixture
def worker(stack: Stack) -> Iterator[Process]:
    """It must live on, answer and do its work after each test."""
    (worker,) = stack.processes
    yield worker
    still_works(stack)
    assert "Restoring" not in worker.said()
    assert "Connection to broker lost" not in worker.said()


def answers() -> bool:
    return app.control.inspect(timeout=1).ping() == {"own@host": {"ok": "pong"}}


@pytest.fixture(scope="module")
def heard(stack: Stack) -> dict[str, dict[str, Any]]:
    """Real ones, by their channel: a command, and the events that a worker and a task tell."""
    found: dict[str, dict[str, Any]] = {}
    with stack.ledger.store.client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.psubscribe("/*")
        listener.get_message(timeout=5)

        def listen() -> bool:
            if not found:
                answers()
                add.delay(1, 2)
            message = listener.get_message(timeout=1)
            if message:
                raw = json.loads(message["data"])
                raw["body"] = app.connection().default_channel.decode_body(
                    raw["body"], raw["properties"]["body_encoding"]
                )
                raw["body"] = raw["body"].decode() if isinstance(raw["body"], bytes) else raw["body"]
                raw["properties"]["body_encoding"] = "utf-8"
                found.setdefault(message["channel"], raw)
            kinds = " ".join(found)
            return "pidbox" in kinds and "worker.heartbeat" in kinds and "task" in kinds

        eventually(listen, 30, "a command and both kinds of event")
    return found


def test_damaged_broadcasts_change_nothing(stack: Stack, worker: Process, heard: Any) -> None:
    client = stack.ledger.store.client
    for channel, raw in heard.items():
        for text in islice(poison.damaged(json.dumps(raw).encode(), len(channel)), MANY):
            client.publish(channel, text)
        bodies = poison.damaged(raw["body"].encode(), len(channel))
        for text in islice(bodies, MANY):
            client.publish(channel, dumps(raw | {"body": text.decode(errors="replace")}))


NINES = int("9" * 4299)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "worker-heartbeat", "hostname": "x", "clock": NINES},
        {"type": "worker-heartbeat", "hostname": "x", "clock": float("inf")},
        {"type": "worker-heartbeat", "hostname": "x", "clock": 5, "freq": "x", "timestamp": 1.0},
        {"type": "worker-heartbeat", "hostname": ["x"]},
        {"type": ["worker-heartbeat"], "hostname": "x"},
        {"type": "worker-online", "hostname": "x", "clock": 5, "utcoffset": "x", "timestamp": "x"},
        [1, 2],
        "text",
        None,
    ],
)  # fmt: skip
def test_an_event_that_is_none_is_dropped(stack: Stack, worker: Process, heard: Any, body: Any) -> None:
    channel, raw = next((name, raw) for name, raw in heard.items() if "worker.heartbeat" in name)
    stack.ledger.store.client.publish(channel, dumps(raw | {"body": dumps(body)}))
    stack.ledger.store.client.publish(channel, dumps(raw | {"headers": raw["headers"] | {"clock": NINES}}))


@pytest.mark.parametrize(
    "command",
    [
        {"method": "time_limit", "arguments": {"task_name": "probe.add", "hard": {"x": 1}, "soft": "x"}},
        {"method": "rate_limit", "arguments": {"task_name": "probe.add", "rate_limit": {"x": 1}}},
        {"method": "rate_limit", "arguments": {"task_name": ["x"], "rate_limit": "1/s"}},
        {"method": "revoke", "arguments": {"task_id": {"x": 1}}},
        {"method": "revoke", "arguments": {"task_id": [["x"]]}},
        {"method": "revoke", "arguments": {"task_id": "x", "terminate": True, "signal": ["x"]}},
        {"method": "revoke_by_stamped_headers", "arguments": {"headers": "x"}},
        {"method": "add_consumer", "arguments": {"queue": {"x": 1}}},
        {"method": "add_consumer", "arguments": {"queue": "q", "exchange_type": "none"}},
        {"method": "cancel_consumer", "arguments": {"queue": ["x"]}},
        {"method": "pool_grow", "arguments": {"n": "x"}},
        {"method": "pool_shrink", "arguments": {"n": {"x": 1}}},
        {"method": "autoscale", "arguments": {"max": "x", "min": []}},
        {"method": "hello", "arguments": {"from_node": ["x"], "revoked": 5}},
        {"method": "election", "arguments": {"id": ["x"], "topic": {}}},
        {"method": "query_task", "arguments": {"ids": 5}},
        {"method": ["ping"]},
        {"method": "ping", "arguments": ["x"]},
        {"method": "ping", "reply_to": "x"},
        {"method": "ping", "reply_to": {"exchange": {"x": 1}, "routing_key": 5}, "ticket": ["x"]},
        {"method": "ping", "destination": 5},
        {"method": "ping", "pattern": "(", "matcher": "pcre"},
        {"method": "ping", "what": 1},
        {},
    ],
)  # fmt: skip
def test_a_command_that_makes_no_sense_is_refused(
    stack: Stack, worker: Process, heard: Any, command: dict[str, Any]
) -> None:
    channel, raw = next((name, raw) for name, raw in heard.items() if "pidbox" in name)
    asked = {"arguments": {}, "destination": None, "pattern": None, "matcher": None, **command}
    stack.ledger.store.client.publish(channel, dumps(raw | {"body": dumps(asked)}))


def test_after_all_that_it_answers(worker: Process) -> None:
    eventually(answers, 20, "the worker to answer")
