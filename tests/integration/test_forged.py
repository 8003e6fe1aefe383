"""A message is only a doorbell: whatever it says, what runs is what the row says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, signature
from redis import Redis

from celery_anp.errors import BadUsage
from celery_anp.reliability.run import tick_id
from celery_anp.reliability.unreadable import Unreadable
from tests.support.doubled import double
from tests.support.eventually import eventually
from tests.support.probe import add, says
from tests.support.stack import Stack, on_empty_redis
from worker.app import app

pytestmark = pytest.mark.long

Raw = dict[str, Any]
PAST = "2020-01-01T00:00:00+00:00"
FUTURE = (datetime.now(UTC) + timedelta(days=3)).isoformat()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[Stack]:
    """One worker for all tests here."""
    with on_empty_redis(tmp_path_factory.mktemp("forged")) as stack:
        stack.worker(concurrency=2)
        told = app.control.revoke_by_stamped_headers({"batch": ["seven"]}, reply=True, timeout=5, limit=1)
        assert told
        yield stack


@pytest.fixture
def client(stack: Stack) -> Redis:
    """The broker, as anybody who may write to it has it."""
    return stack.ledger.store.client


@pytest.fixture(scope="module")
def stranger(stack: Stack) -> Celery:
    """A producer that does not know the ledger."""
    app = Celery("stranger", broker=stack.redis_url, set_as_current=False)
    app.conf.task_default_queue = "default"
    return app


def asked(stack: Stack, client: Redis, **options: Any) -> tuple[str, Raw]:
    """A run that waits, and its own message, which only we have now: its queue has no worker."""
    result = says.apply_async((str(stack.journal), "own"), queue="nobody", headers={"tenant": "own"}, **options)
    return result.id, json.loads(str(client.rpop("nobody")))


def body(raw: Raw, change: Callable[[list[Any]], None]) -> None:
    """Another body."""
    content = json.loads(raw["body"])
    change(content)
    raw["body"] = json.dumps(content)


def another_input(raw: Raw) -> None:
    body(raw, lambda content: content[1].update(word="forged"))


def with_seal(raw: Raw) -> None:
    another_input(raw)
    raw["headers"]["anp_seal"] = raw["seal"]


def another_task(raw: Raw) -> None:
    raw["headers"]["task"], raw["body"] = "probe.plain", json.dumps([[21], {}, None])


def another_link(raw: Raw) -> None:
    link = signature("probe.says", (raw["path"], "link"), immutable=True)
    body(raw, lambda content: content[2].update(callbacks=[link], chain=[link], errbacks=[link]))


def a_chord(raw: Raw) -> None:
    link = signature("probe.says", (raw["path"], "link"), immutable=True, chord_size=1)
    body(raw, lambda content: content[2].update(chord=link))
    raw["headers"]["group"] = "g"


def header(name: str, value: Any) -> Callable[[Raw], None]:
    """Another header."""
    return lambda raw: raw["headers"].__setitem__(name, value)


def unmarked(change: Callable[[Raw], None]) -> Callable[[Raw], None]:
    """The same from somebody who does not know our header."""

    def made(raw: Raw) -> None:
        change(raw)
        del raw["headers"]["anp_rung"]

    return made


FORGED: dict[str, Callable[[Raw], None]] = {
    "another input": another_input,
    "another task": header("task", "probe.plain"),
    "another guarded task": header("task", "probe.add"),
    "another task with its input": another_task,
    "a task that nobody knows": header("task", "nobody.knows"),
    "other links": another_link,
    "a chord": a_chord,
    "another header": header("tenant", "forged"),
    "one header more": header("more", "forged"),
    "another root": header("root_id", "forged"),
    "another parent": header("parent_id", "forged"),
    "another group": header("group", "forged"),
    "a reply": lambda raw: raw["properties"].update(reply_to="forged", correlation_id="forged"),
    "a limit": header("timelimit", [0.01, 0.01]),
    "it has expired": header("expires", PAST),
    "it is due later": header("eta", FUTURE),
    "no result": header("ignore_result", True),
    "it was retried": header("retries", 7),
    "it has begun": header("anp_attempt", {"settled": True}),
    "it is a call": lambda raw: raw["headers"].update(is_eager=True, called_directly=True),
    "it has the seal": with_seal,
    "stamps that are revoked": lambda raw: raw["headers"].update(
        stamped_headers=["batch"], stamps={"batch": ["seven"]}
    ),
    "another stamp": header("anp_rung", 5),
    "a priority": lambda raw: raw["properties"].update(priority=9),
}  # fmt: skip
FORGED |= {f"unmarked, {name}": unmarked(change) for name, change in FORGED.items()}


@pytest.mark.parametrize("name", FORGED)
def test_what_runs_is_what_the_row_says(stack: Stack, client: Redis, name: str) -> None:
    run_id, raw = asked(stack, client)
    raw |= {"path": str(stack.journal), "seal": client.hget(f"anp:ledger:run:{run_id}", "seal")}
    own = {
        "word": "own", "stored": "STARTED", "tenant": "own", "more": None, "root_id": run_id, "parent_id": None,
        "group": None,
        "reply_to": raw["properties"]["reply_to"], "limits": raw["headers"]["timelimit"], "retries": 0, "eta": None,
    }  # fmt: skip
    FORGED[name](raw)
    client.lpush("default", json.dumps(raw))
    moved(client, run_id)
    run = stack.ends(run_id)
    (line,) = stack.lines("says", run=run_id)
    assert (run.state, run.attempts, run.result) == ("succeeded", 1, "own")
    assert {key: line[key] for key in own} == own
    meta = json.loads(str(client.get(f"celery-task-meta-{run_id}")))
    assert (meta["status"], meta["result"]) == ("SUCCESS", "own")
    assert stack.lines("says", word="link") == []
    said = stack.processes[0].said()
    assert [word for word in (f"probe.plain[{run_id}]", f"[{run_id}] raised") if word in said] == []


def moved(client: Redis, run_id: str) -> None:
    """What is rung for a run goes where there is a worker: its own message was sent to a queue without one."""

    def rung() -> bool:
        while text := client.rpop("nobody"):
            client.lpush("default", text)
        return client.hget(f"anp:ledger:run:{run_id}", "at") != "queue"

    eventually(rung, 20, "the run to begin")


def test_a_doorbell_of_a_run_that_has_failed_leaves_it_failed(stack: Stack, client: Redis) -> None:
    failed = says.delay(str(stack.journal), "fails")
    assert stack.ends(failed.id).state == "failed"
    double(stack.ledger, failed.id)
    said = stack.processes[0].said
    eventually(lambda: f"{failed.id} has nothing to do: it is failed" in said(), 20, "the doorbell to be refused")
    assert json.loads(str(client.get(f"celery-task-meta-{failed.id}")))["status"] == "FAILURE"


# -- producers that do not know the ledger ----------------------------------------------------------------------------


def test_a_tick_is_never_a_strangers(stack: Stack, client: Redis, stranger: Celery) -> None:
    store, tick = Unreadable(stack.ledger.store), tick_id("publish", 4_000_000_000)
    before = store.kept()
    for task in ("probe.says", "probe.plain"):
        stranger.send_task(task, (str(stack.journal), "stolen"), task_id=tick)
    eventually(lambda: store.kept() == before + 2, 20, "both to be set aside")
    assert [tick in one.reason for one in store.newest(2)] == [True, True]
    assert stack.ledger.find(tick) is None
    assert client.get(f"celery-task-meta-{tick}") is None
    assert stack.lines("says", word="stolen") == []


def test_a_marked_message_with_the_id_of_a_tick_is_dropped(stack: Stack, client: Redis) -> None:
    _, raw = asked(stack, client)
    tick = raw["headers"]["id"] = tick_id("publish", 4_000_000_000)
    client.lpush("default", json.dumps(raw))
    eventually(lambda: f"{tick} has nothing to do" in stack.processes[0].said(), 20, "the message to be dropped")
    assert stack.ledger.find(tick) is None


def test_a_call_cannot_take_the_id_of_a_tick(stack: Stack) -> None:
    with pytest.raises(BadUsage, match="only beat and operators"):
        add.apply_async((1, 2), task_id=tick_id("publish", 4_000_000_000))


def test_a_strangers_call_becomes_a_row_with_all_that_it_says(stack: Stack, stranger: Celery) -> None:
    link = stranger.signature("probe.says", (str(stack.journal), "link"), immutable=True)
    sent = stranger.send_task(
        "probe.says", (str(stack.journal), "strange"), link=link, time_limit=50, soft_time_limit=40,
        headers={"tenant": "theirs"}, root_id="their-root",
    )  # fmt: skip
    run = stack.ends(sent.id)
    (line,) = stack.lines("says", run=sent.id)
    assert (run.state, run.result, run.attempts) == ("succeeded", "strange", 1)
    assert (line["tenant"], line["limits"], line["root_id"]) == ("theirs", [50, 40], "their-root")
    eventually(lambda: stack.lines("says", word="link"), 20, "what it is linked to")


def test_what_a_stranger_says_of_times_becomes_its_rows(stack: Stack, client: Redis, stranger: Celery) -> None:
    journal = str(stack.journal)
    late = stranger.send_task("probe.says", (journal, "late"), countdown=3600, expires=7200)
    run = stack.reaches(late.id, "delayed")
    assert abs(int(client.hget(f"anp:ledger:run:{late.id}", "due") or 0) / 1000 - stack.ledger.now() / 1000 - 3600) < 30
    assert int(client.hget(f"anp:ledger:run:{late.id}", "deadline") or 0) > stack.ledger.now() + 7_000_000
    assert run.attempts == 0
    soon = stranger.send_task("probe.says", (journal, "soon"), countdown=1)
    assert stack.ends(soon.id).state == "succeeded"
    gone = stranger.send_task("probe.says", (journal, "gone"), expires=datetime(2020, 1, 1, tzinfo=UTC))
    assert stack.ends(gone.id).state == "expired"


def test_a_stranger_who_repeats_himself_is_heard_once(stack: Stack, client: Redis, stranger: Celery) -> None:
    for word in ("first", "second"):
        stranger.send_task("probe.says", (str(stack.journal), word), task_id="repeated")
        stack.ends("repeated")
    stranger.send_task("nobody.knows", (), task_id="repeated")
    stranger.send_task("probe.plain", (4,), task_id="repeated")
    eventually(lambda: client.llen("default") == 0, 20, "all to be taken")
    assert add.delay(2, 3).get(timeout=20) == 5
    assert [line["word"] for line in stack.lines("says", run="repeated")] == ["first"]
    assert json.loads(str(client.get("celery-task-meta-repeated")))["result"] == "first"
