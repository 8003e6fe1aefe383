"""What is set aside of messages that no worker can read: kept, counted, told once, shown, dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from celery_anp.cli.status.answers import are_runs_failing
from celery_anp.metrics import LedgerCollector
from celery_anp.node.aside import beginning
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.store import Store
from celery_anp.reliability.unreadable import Unreadable
from tests.support.eventually import eventually
from tests.support.moved import CLOCK
from tests.support.stack import Stack
from worker.app import app

pytestmark = pytest.mark.long

NOW = 1_800_000_000


@pytest.fixture
def store(redis: Redis) -> Unreadable:
    redis.set(CLOCK, NOW)
    return Unreadable(Store(redis, "anp", CLOCK))


def alerts(store: Unreadable) -> list[Any]:
    items = store.store.read("hgetall", store.store.key("outbox:items"))
    return [json.loads(text) for text in items.values()]


def test_it_is_kept_with_its_reason_and_the_newest_comes_first(store: Unreadable) -> None:
    assert store.add("default", "it has no body", 17, "{'x'}") == 1
    store.add("default\x06\x163", "é" * 400, 18, "ü" * 2000 + "\udcff")
    newest, first = store.newest(10)
    assert first.public() == {
        "number": 1, "at": "2027-01-15T08:00:00.000Z", "list": "default", "reason": "it has no body", "bytes": 17,
        "text": "{'x'}",
    }  # fmt: skip
    assert (newest.number, len(newest.reason), len(newest.text)) == (2, 300, 1000)
    assert (store.kept(), store.ever(), len(store.newest(1))) == (2, 2, 1)


def test_what_was_seen_is_dropped_and_what_came_since_is_not(store: Unreadable) -> None:
    for number in range(3):
        store.add("default", f"reason {number}", 1, "")
    assert store.drop(2) == 2
    assert [one.reason for one in store.newest(10)] == ["reason 2"]
    assert store.ever() == 3


def test_only_the_newest_are_kept_and_all_are_counted(store: Unreadable) -> None:
    for number in range(510):
        store.add("default", str(number), 1, "")
    assert (store.kept(), store.ever()) == (500, 510)
    assert store.newest(1000)[-1].reason == "10"


def test_many_are_told_once_and_again_after_an_hour_or_once_they_were_seen(store: Unreadable, redis: Redis) -> None:
    for _ in range(50):
        store.add("default", "it has no body", 1, "")
    (told,) = alerts(store)
    assert (told["what"], told["kind"]) == ("alert", "unreadable")
    assert "it has no body" in told["text"]
    assert "`anp runs unreadable`" in told["text"]
    redis.incrby(CLOCK, 3601)
    store.add("default", "again", 1, "")
    assert len(alerts(store)) == 2
    store.drop(1000)
    store.add("default", "anew", 1, "")
    assert len(alerts(store)) == 3


def test_it_is_shown_as_bad_with_the_next_command(stack: Stack, redis: Redis) -> None:
    def failing() -> Any:
        return json.loads(stack.anp("status", "--json").stdout)["answers"][2]

    assert failing()["ok"]
    store = Unreadable(stack.ledger.store)
    store.add("default", "it has no body", 17, "{}")
    assert not failing()["ok"]
    assert "1 messages could not be read and are set aside; `anp runs unreadable`" in failing()["answer"]
    checked = json.loads(stack.anp("check", "--json").stdout)["points"]
    assert [point["wrong"] for point in checked if point["area"] == "messages"] == ["1 are set aside"]
    shown = stack.anp("runs", "unreadable")
    assert (shown.returncode, "it has no body" in shown.stdout) == (0, True)
    document = json.loads(stack.anp("runs", "unreadable", "--json").stdout)
    assert [one["bytes"] for one in document["messages"]] == [17]
    assert document["dropped"] == 0
    assert "dropped 1" in stack.anp("runs", "unreadable", "--drop").stdout
    assert json.loads(stack.anp("runs", "unreadable", "--json").stdout)["messages"] == []
    assert failing()["ok"]


def test_metrics_count_all_and_what_is_kept(redis: Redis) -> None:
    ledger = Ledger(Store(redis, "anp"))
    store = Unreadable(ledger.store)
    for _ in range(3):
        store.add("default", "it has no body", 1, "")
    store.drop(2)
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    assert registry.get_sample_value("anp_messages_unreadable_total") == 3
    assert registry.get_sample_value("anp_messages_set_aside") == 1


def test_status_says_nothing_of_them_where_there_are_none() -> None:
    assert are_runs_failing([]).ok
    assert not are_runs_failing([], set_aside=2).ok


@pytest.mark.parametrize(
    "text",
    [
        b'{"headers": {"task": "probe.secretive"}, "body": "[[], {\\"password\\": \\"s3cret\\"}, null]',
        b'{"headers": {"anp_secret": ["password"]}, "body": "[[], {\\"password\\": \\"s3cret\\"}, null]',
        b"redis://ann:s3cret@host/0",
    ],
)
def test_nothing_secret_is_kept_of_it(text: bytes) -> None:
    assert "s3cret" not in beginning(app, text)


def test_a_secretive_message_is_set_aside_without_its_secret(stack: Stack, redis: Redis) -> None:
    worker = stack.worker(concurrency=1)
    redis.lpush("default", '{"headers": {"task": "probe.secretive"}, "body": "s3cret",')
    store = Unreadable(stack.ledger.store)
    eventually(store.kept, 20, "it to be set aside")
    assert "s3cret" not in store.newest(1)[0].text
    assert "s3cret" not in worker.said()
