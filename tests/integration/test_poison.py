"""Messages that no worker can read: each is set aside with its reason, and costs nothing but itself."""

from __future__ import annotations

import base64
import inspect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_anp.reliability.unreadable import Unreadable
from tests.support import poison
from tests.support.eventually import eventually
from tests.support.probe import add, plain, says
from tests.support.stack import Process, Stack, on_empty_redis
from tests.support.still_works import still_works

pytestmark = pytest.mark.long

#: Messages that are damaged at random.
MANY = 1000
#: Bytes that a worker may grow by meanwhile.
GROWTH = 150 << 20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[Stack]:
    """One worker for all tests here: whatever one of them feeds it, it is there for the next one."""
    with on_empty_redis(tmp_path_factory.mktemp("poison")) as stack:
        stack.worker(concurrency=1)
        yield stack


@pytest.fixture
def worker(stack: Stack) -> Iterator[Process]:
    """It must live on, and do its work, after each test."""
    (worker,) = stack.processes
    yield worker
    still_works(stack)


@pytest.fixture
def store(stack: Stack) -> Unreadable:
    """What is set aside; nothing is, before each test."""
    store = Unreadable(stack.ledger.store)
    store.drop(1 << 40)
    return store


def good(stack: Stack, task: Any = add, *args: Any) -> dict[str, Any]:
    """A message that every worker can read, taken from a queue that nobody serves; its run waits there."""
    task.apply_async(args or (1,) * len(inspect.signature(task.run).parameters), queue="nobody")
    raw = json.loads(str(stack.ledger.store.client.rpop("nobody")))
    if raw["properties"]["body_encoding"] == "base64":
        raw["body"] = base64.b64decode(raw["body"]).decode()
        raw["properties"]["body_encoding"] = "utf-8"
    return dict(raw)


def push(stack: Stack, *messages: bytes, queue: str = "default") -> None:
    """Anybody may write to a list of the broker."""
    stack.ledger.store.client.lpush(queue, *messages)


@pytest.mark.parametrize("task", [add, plain], ids=["guarded", "unguarded"])
def test_what_cannot_be_read_is_set_aside(stack: Stack, worker: Process, store: Unreadable, task: Any) -> None:
    raw = json.dumps(good(stack, task))
    made = {name: make(json.loads(raw)) for name, (make, _) in poison.CASES.items()}
    before = memory(worker)
    for text in made.values():
        push(stack, text)
    eventually(lambda: store.kept() == len(made), 60, "all of them to be set aside")
    found = dict(zip(made, reversed(store.newest(len(made))), strict=True))
    for name, (_, why) in poison.CASES.items():
        one, text = found[name], made[name]
        assert why in one.reason, name
        assert (one.list, one.bytes) == ("default", len(text)), name
        assert one.text == text[:1000].decode(errors="replace")[:1000], name
    assert memory(worker) - before < GROWTH


def memory(worker: Process) -> int:
    """What its main process has ever needed at once, in bytes."""
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def test_a_thousand_damaged_messages_change_nothing(stack: Stack, worker: Process, store: Unreadable) -> None:
    client, before = stack.ledger.store.client, memory(worker)
    made = [json.dumps(good(stack, task, *args)).encode() for task, args in (
        (says, (str(stack.journal), "genuine")), (add, (1, 2)), (plain, (1,)),
    )]  # fmt: skip
    waits = json.loads(made[0])["headers"]["id"]
    done = says.delay(str(stack.journal), "done")
    assert done.get(timeout=20) == "done"
    ended = json.loads(json.dumps(stack.run(done.id).public()))
    made.append(made[0].replace(waits.encode(), done.id.encode()))
    feed = zip(*(poison.damaged(one, seed) for seed, one in enumerate(made)), strict=True)
    known = {"probe.says": {waits, done.id}}
    harmful = (one for one in itertools.chain.from_iterable(feed) if not is_a_strangers(one, known))
    for number, text in enumerate(itertools.islice(harmful, MANY)):
        push(stack, text, queue=("default", "default\x06\x163")[number % 2])
    eventually(lambda: client.llen("default") + client.llen("default\x06\x163") == 0, 60, "all of them to be taken")
    assert says.delay(str(stack.journal), "after").get(timeout=20) == "after"
    assert stack.ends(waits).state == "succeeded"
    assert store.kept() == 500, "the newest are kept"
    assert json.loads(json.dumps(stack.run(done.id).public())) == ended
    assert sorted(line["word"] for line in stack.lines("says")) == ["after", "done", "genuine"]
    assert memory(worker) - before < GROWTH


def is_a_strangers(text: bytes, known: dict[str, set[str]]) -> bool:
    """Whether damage has made a call of somebody else's out of it, with an id and an input of its own: it is run."""
    try:
        headers = json.loads(text)["headers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    ids = known.get(str(headers.get("task"))) if isinstance(headers, dict) else None
    return ids is not None and "anp_rung" not in headers and headers.get("id") not in ids
