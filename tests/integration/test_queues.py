"""A queue that nobody serves is named: by `anp status`, an alert and a metric. Nodes say which queues they serve."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from celery_anp.checklist import setup
from celery_anp.local.embedded.server import RedisServer
from celery_anp.metrics import LedgerCollector
from celery_anp.reliability import nodes
from celery_anp.reliability.nodes import Node, Unserved
from tests.support.eventually import eventually
from tests.support.moved import NODE, Moved, begin, new, settle
from tests.support.probe import add
from tests.support.stack import Stack, on_empty_redis
from tests.support.told import alerts
from worker.app import app

pytestmark = pytest.mark.long

LEASE = 10


def unserved(ledger: Moved) -> list[tuple[str, int]]:
    return [(one.queue, one.runs) for one in nodes.unserved(ledger.store, ledger.nodes())]


def serve(ledger: Moved, *queues: str, node: str = NODE) -> None:
    ledger.heartbeat(node, news={"queues": json.dumps(queues)})


def told_by_metrics(ledger: Moved) -> dict[str, float]:
    (family,) = [one for one in LedgerCollector(ledger).collect() if one.name == "anp_queue_unserved_runs"]
    return {sample.labels["queue"]: sample.value for sample in family.samples}


@pytest.fixture(scope="module")
def served(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker of two queues, one of which it was told to leave out."""
    with on_empty_redis(tmp_path_factory.mktemp("queues")) as stack:
        stack.worker("-Q", "mail,web", "-X", "web")
        yield stack


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_runs_on_a_queue_that_nobody_serves_are_counted_and_told_once(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b")])
    serve(ledger, "other")
    assert unserved(ledger) == [("default", 2)]
    assert told_by_metrics(ledger) == {"default": 2}
    for _ in range(3):
        ledger.look_for_unserved()
    assert alerts(ledger) == [], "a worker may be restarting"
    ledger.go(LEASE - 1)
    serve(ledger, "other")
    ledger.go(1)
    for _ in range(3):
        ledger.look_for_unserved()
    (alert,) = alerts(ledger)
    assert alert["kind"] == "unserved"
    assert "2 runs wait on the queue default, which no living worker serves" in alert["text"]
    assert nodes.unserved(ledger.store, ledger.nodes())[0].since == 1_000_000_000


def test_a_queue_that_is_served_again_is_told_anew_when_it_is_left_again(ledger: Moved) -> None:
    ledger.plan([new("a")])
    for queue in ("other", "default", "other"):
        for _ in range(2):
            serve(ledger, queue)
            ledger.look_for_unserved()
            ledger.go(LEASE - 1)
            serve(ledger, queue)
            ledger.go(1)
            ledger.look_for_unserved()
    assert [alert["kind"] for alert in alerts(ledger)] == ["unserved", "unserved"]


def test_a_run_that_goes_on_waits_there_no_more(ledger: Moved) -> None:
    ledger.plan([new("a"), new("b"), new("c", delay=10**6)])
    serve(ledger, "other")
    begin(ledger, "a")
    assert unserved(ledger) == [("default", 1)]
    settle(ledger, "a")
    ledger.operate("b", "cancel", "ann")
    assert unserved(ledger) == [], "one that waits for a time waits for no worker"
    assert not ledger.store.client.exists(ledger.store.key("waiting"))


def test_a_node_that_does_not_say_what_it_serves_may_serve_all(ledger: Moved) -> None:
    ledger.plan([new("a")])
    serve(ledger, "other")
    assert ledger.look_for_unserved() == 1
    ledger.heartbeat("node-2", {"kind": "worker"})
    assert ledger.look_for_unserved() == 0


def test_the_dead_and_beats_serve_nothing(ledger: Moved) -> None:
    ledger.plan([new("a")])
    serve(ledger, "default")
    assert ledger.look_for_unserved() == 0
    ledger.heartbeat("beat", {"kind": "beat", "queues": '["default"]'})
    ledger.go(LEASE + 1)
    assert ledger.look_for_unserved() == 1


# -- processes --------------------------------------------------------------------------------------------------------


def queues_of(stack: Stack) -> frozenset[str]:
    (worker,) = [node for node in stack.ledger.nodes() if node.kind == "worker"]
    assert worker.queues is not None
    return worker.queues


def test_status_names_the_queue_how_many_wait_and_what_to_do(served: Stack) -> None:
    for x in range(2):
        add.apply_async((x, 1), queue="reprots")
    done = served.anp("status", "--json")
    answer = json.loads(done.stdout)["answers"][0]
    assert done.returncode == 1
    assert "2 runs wait on the queue 'reprots', which no living worker serves" in answer["answer"]
    assert "-Q reprots" in answer["answer"]
    assert answer["facts"]["unserved"] == {"reprots": 2}
    eventually(lambda: [one.since for one in _unserved(served)] > [0], 20, "upkeep to see it")
    assert "serves since 2" in served.anp("status").stdout
    kinds = eventually(lambda: [item["kind"] for item in alerts(served.ledger)], 30, "the alert")
    assert kinds == ["unserved"]


def _unserved(stack: Stack) -> list[Unserved]:
    return nodes.unserved(stack.ledger.store, stack.ledger.nodes())


def test_a_queue_that_is_added_while_it_runs_is_served_and_one_that_is_cancelled_is_not(served: Stack) -> None:
    before = queues_of(served)
    assert before == {"mail"}
    app.control.add_consumer("added", reply=True)
    eventually(lambda: queues_of(served) == before | {"added"}, 10, "the queue to be said")
    run = add.apply_async((1, 2), queue="added")
    served.ends(run.id)
    app.control.cancel_consumer("added", reply=True)
    eventually(lambda: queues_of(served) == before, 10, "the queue to be said no more")
    add.apply_async((1, 2), queue="added")
    assert ("added", 1) in [one[:2] for one in _unserved(served)]
    app.control.add_consumer("added", reply=True)
    eventually(lambda: "added" not in [one.queue for one in _unserved(served)], 10, "its run to begin")
    app.control.cancel_consumer("added", reply=True)


def test_a_schedule_whose_queue_nobody_serves_is_named_by_check_and_list(served: Stack) -> None:
    alive = served.ledger.nodes()
    assert all(isinstance(node, Node) for node in alive)
    (point,) = setup.queues(alive, [], {"report": "reprots-2"})
    assert not point.ok
    assert point.wrong == "nobody serves 'reprots-2', and the ticks of report go to it"
    (good,) = setup.queues(alive, [], {"report": next(iter(queues_of(served)))})
    assert good.ok
