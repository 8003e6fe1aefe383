"""The message that a script sends by itself is the one that kombu would have sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from redis import Redis

from celery_anp.app import guard
from celery_anp.beat.plan import Planner
from celery_anp.beat.schedule import Schedule
from celery_anp.errors import LedgerUnavailable, LimitExceeded
from celery_anp.process import port
from celery_anp.reliability.message import opened
from celery_anp.reliability.records import Begun
from celery_anp.sending.message import STAMP, seal
from celery_anp.sending.publisher import send_held
from tests.support.probe import add
from worker.app import app

#: What differs from one message to the next, and how kombu packs the body.
OWN = ("delivery_tag", "body_encoding")


def taken(redis: Redis, queue: str = "default") -> Any:
    """The only message of a queue, as a worker reads it."""
    assert redis.llen(queue) == 1
    raw = json.loads(str(redis.rpop(queue)))
    with app.connection() as connection:
        message = connection.default_channel.Message(raw, channel=connection.default_channel)
    return raw, message


@pytest.mark.parametrize("options", [{}, {"priority": 7}, {"queue": "other"}])
def test_the_script_sends_what_kombu_would_send(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    queue = options.get("queue", "default") + ("\x06\x166" if "priority" in options else "")
    add.apply_async((1, 2), task_id="same", **options)
    ours, mine = taken(redis, queue)
    redis.flushall()
    monkeypatch.setattr(app.amqp, "sends_itself", lambda *_: False)
    add.apply_async((1, 2), task_id="same", **options)
    kombus, theirs = taken(redis, queue)
    assert mine.payload == theirs.payload
    for raw in (ours, kombus):
        assert raw["headers"].pop(STAMP) > 1_700_000_000_000
        raw.pop("body")
        for name in OWN:
            raw["properties"].pop(name)
    assert ours == kombus


def test_an_enqueue_is_one_round_trip_that_plans_sends_and_tells(redis: Redis) -> None:
    add.delay(0, 0)
    redis.config_resetstat()
    add.delay(1, 2)
    asked = redis.info("commandstats")
    from_scripts = ("hset", "hget", "hmget", "hincrby", "exists", "zadd", "zrem", "lpush", "publish", "time", "get")
    client = {name.removeprefix("cmdstat_") for name in asked} - {*from_scripts, "config|resetstat", "config", "info"}
    assert client == {"evalsha"}
    assert asked["cmdstat_evalsha"]["calls"] == 1
    assert redis.llen("default") == 2


def told(redis: Redis, act: Any) -> list[tuple[str, Any, Any]]:
    """What is told to those who listen to Celery's events meanwhile: the channel, the event, what is around it."""
    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.psubscribe("*celeryev*")
        listener.get_message(timeout=5)
        act()
        redis.publish("celeryev-end", "")
        heard = []
        while (one := listener.get_message(timeout=5)) and one["channel"] != "celeryev-end":
            around = json.loads(one["data"])
            with app.connection() as connection:
                channel = connection.default_channel
                event = channel.Message(json.loads(one["data"]), channel=channel).payload
            heard.append((one["channel"], event, around))
        return heard


def test_the_script_tells_the_event_that_kombu_would_publish(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> Any:
        return add.apply_async((1, 2), task_id="same", priority=3)

    ((channel, ours, around),) = told(redis, call)
    redis.flushall()
    monkeypatch.setattr(app.amqp, "sends_itself", lambda *_: False)
    ((kombus_channel, theirs, kombus_around),) = told(redis, call)
    assert channel == kombus_channel
    assert ours.pop("clock") < theirs.pop("clock")
    assert ours.pop("timestamp") < theirs.pop("timestamp")
    assert ours == theirs
    assert ours["type"] == "task-sent"
    for raw in (around, kombus_around):
        raw.pop("body")
        for name in OWN:
            raw["properties"].pop(name)
    assert around == kombus_around


def test_a_replayed_plan_tells_nothing_more(redis: Redis) -> None:
    def twice() -> None:
        for _ in range(2):
            add.apply_async((1, 2), key="once")

    assert len(told(redis, twice)) == 1


def test_no_event_is_told_where_none_is_wanted(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_send_sent_event", False)
    assert told(redis, lambda: add.delay(1, 2)) == []


def test_a_header_that_a_signal_adds_is_sent_and_kept(redis: Redis) -> None:
    def trace(headers: dict[str, Any], **_: Any) -> None:
        headers["trace"] = "t1"

    before_task_publish.connect(trace)
    try:
        result = add.delay(1, 2)
    finally:
        before_task_publish.disconnect(trace)
    assert taken(redis)[1].headers["trace"] == "t1"
    row = opened(str(redis.hget(f"anp:ledger:run:{result.id}", "message")))
    assert row.headers["trace"] == "t1"


def test_a_run_that_waits_is_not_sent(redis: Redis) -> None:
    add.apply_async((1, 2), countdown=60)
    assert redis.llen("default") == 0


def test_a_replayed_plan_sends_nothing_more(redis: Redis) -> None:
    first = add.apply_async((1, 2), key="once")
    assert add.apply_async((1, 2), key="once").id == first.id
    assert redis.llen("default") == 1


def test_a_compressed_message_is_left_to_kombu(redis: Redis) -> None:
    add.apply_async((1, 2), compression="zlib")
    assert taken(redis)[1].payload[0] == []


def test_an_enqueue_without_redis_says_that_nothing_was_planned() -> None:
    lonely = guard(Celery("lonely", broker=f"redis://127.0.0.1:{port.free()}/0", set_as_current=False))
    lonely.conf.task_send_sent_event = True

    @lonely.task
    def nothing() -> None: ...

    with pytest.raises(LedgerUnavailable, match="Redis does not answer"):
        nothing.delay()


def traced(send: Any) -> Any:
    """`Celery.send_task` as sentry-sdk wraps it: the headers are copied into the headers, and must be JSON."""

    def send_traced(self: Any, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        headers = {**(options.pop("headers", None) or {}), "sentry-trace": "t1"}
        return send(
            self, name, args, kwargs, headers={**headers, "headers": json.loads(json.dumps(headers))}, **options
        )

    return send_traced


@pytest.mark.parametrize("sends", [True, False])
def test_headers_may_be_copied_into_json_on_the_way(redis: Redis, monkeypatch: pytest.MonkeyPatch, sends: bool) -> None:
    heard: list[Any] = []

    def listen(headers: dict[str, Any], **_: Any) -> None:
        heard.append(json.loads(json.dumps(headers)))

    monkeypatch.setattr(Celery, "send_task", traced(Celery.send_task))
    monkeypatch.setattr(app.amqp, "sends_itself", lambda *_: sends)
    before_task_publish.connect(listen)
    try:
        result = add.apply_async((1, 2), headers={"own": 1})
    finally:
        before_task_publish.disconnect(listen)
    headers = taken(redis)[1].headers
    assert headers["headers"] == {"own": 1, "sentry-trace": "t1"}
    assert [one["id"] for one in heard] == [headers["id"]] == [result.id]
    assert not any("anp_call" in one for one in heard)


def test_the_row_keeps_what_stands_on_the_list_but_for_the_stamp(redis: Redis) -> None:
    result = add.apply_async((1, 2), headers={STAMP: 7, "own": 1})
    row = redis.hgetall(f"anp:ledger:run:{result.id}")
    assert str(redis.lindex("default", 0)) == row["message"].replace(f'"{STAMP}": 0', f'"{STAMP}": {row["rung"]}', 1)
    assert taken(redis)[1].headers["own"] == 1


@pytest.mark.parametrize("listens", [True, False])
def test_a_tick_is_sent_by_its_beat_where_somebody_listens_to_publishes(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    heard: list[str] = []

    def listen(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["id"])
        headers["trace"] = "t1"

    of = Schedule(name="s", task=add.name, every=60, input={"x": 1, "y": 2}, owner="o", expects="e", rollback="r")
    monkeypatch.setattr(before_task_publish, "receivers", [])
    if listens:
        before_task_publish.connect(listen)
    new = Planner(app, {of.name: of}).backfilled(of, 60)
    assert new.message is not None
    planned = app.ledger.plan([new])
    standing = redis.llen(new.message.list)
    assert standing == (0 if listens else 1)
    send_held(app, [new], planned)
    assert heard == ([new.run_id] if listens else [])
    row, sent = redis.hgetall(f"anp:ledger:run:{new.run_id}"), taken(redis, new.message.list)[1]
    assert sent.headers[STAMP] == int(row["rung"])
    assert sent.headers.get("trace") == opened(row["message"]).headers.get("trace") == ("t1" if listens else None)
    assert seal(row["message"]) == row["seal"]


def test_a_genuine_doorbell_is_known_by_its_seal_and_costs_one_script(redis: Redis) -> None:
    result = add.apply_async((1, 2))
    row = redis.hgetall(f"anp:ledger:run:{result.id}")
    assert seal(str(redis.lindex("default", 0))) == seal(row["message"]) == row["seal"] != ""
    app.ledger.heartbeat("n", {"kind": "worker", "tasks": "[]"})
    app.ledger.begin("nobody", "n", "c", "t", "", "")  # Redis has the script from now on
    redis.config_resetstat()
    begun = app.ledger.begin(result.id, "n", "c", "t", row["seal"], '["other", null, null, null, 0]')
    assert isinstance(begun, Begun)
    assert begun.message == "", "nothing is handed out to who has it already"
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('\\"y\\": 2', '\\"y\\": 3'),
        lambda text: text.replace("probe.add", "probe.sub", 1),
        lambda text: text.replace('"anp_rung": ', '"anp_rung": "x", "y": ', 1),
        lambda text: text + " ",
        lambda text: text.replace('{"headers"', '{ "headers"', 1),
    ],
)
def test_any_other_text_has_another_seal(redis: Redis, change: Any) -> None:
    add.apply_async((1, 2))
    text = str(redis.lindex("default", 0))
    assert seal(change(text)) != seal(text) == seal(text.encode())


def test_what_a_signal_adds_stands_in_the_row_where_kombu_sends_too(redis: Redis) -> None:
    def trace(headers: dict[str, Any], **_: Any) -> None:
        headers["trace"] = "t1"

    before_task_publish.connect(trace)
    try:
        result = add.apply_async((1, 2), compression="zlib")
    finally:
        before_task_publish.disconnect(trace)
    row = redis.hgetall(f"anp:ledger:run:{result.id}")
    assert opened(row["message"]).headers["trace"] == taken(redis)[1].headers["trace"] == "t1"


def test_an_input_that_no_worker_would_read_is_refused_at_the_call(redis: Redis) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(LimitExceeded, match="nested too deeply"):
        add.apply_async((1, 2), headers={"own": deep})
    assert redis.llen("default") == 0
