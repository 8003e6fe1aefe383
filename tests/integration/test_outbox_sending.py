"""Alerts and pings on their way: real workers and beats, a real receiver that fails, hangs and is away."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from celery_anp.process import port
from celery_anp.reliability.ledger import LANES
from celery_anp.reliability.overrides import Overrides
from tests.support.eventually import eventually
from tests.support.receiver import Receiver, Request
from tests.support.stack import Stack

pytestmark = pytest.mark.long

FAILING = """
[[schedule]]
name = "s"
task = "probe"
every = "1s"
input = {{ path = "{path}", script = {script} }}
overlap = "buffer_one"
{more}
"""


def schedules(stack: Stack, script: str, more: str) -> str:
    return FAILING.format(path=stack.journal, script=script, more=more)


def documents(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in receiver.requests]


def waiting(stack: Stack) -> int:
    return sum(int(stack.ledger.store.client.zcard(stack.ledger.store.key(f"outbox:{lane}"))) for lane in LANES)


def test_failures_in_a_row_pause_a_schedule_and_are_told_once_by_any_number_of_nodes(stack: Stack) -> None:
    with Receiver(answers=[500, 503]) as receiver:
        stack.settings |= {"alert_url": f"{receiver.url}/hook?token=tell-nobody", "release": "r7", "env": "staging"}
        stack.worker()
        stack.worker()
        stack.beat(schedules=schedules(stack, '[["fail", "KeyError"]]', "pause_after = 2"))
        eventually(lambda: len(receiver.requests) >= 3, 40, "two refusals and one that is taken")
        eventually(lambda: not waiting(stack), 10, "nothing to wait any more")
        override = Overrides(stack.ledger.store).on("s")
        assert override
        assert override.by == "anp"
        told = documents(receiver)
        assert {document["id"] for document in told} == {told[0]["id"]}
        assert receiver.requests[0].headers["Idempotency-Key"] == told[0]["id"]
        assert (told[0]["kind"], told[0]["schedule"], told[0]["release"]) == ("paused", "s", "r7")
        assert told[0]["run_id"].startswith("s@")
        for process in stack.processes:
            assert "tell-nobody" not in process.said()
        skipped = eventually(lambda: stack.ledger.runs(1, schedule="s", state="skipped"), 10, "a skipped tick")
        assert skipped[0].reason.startswith("paused: by anp, 2 failures in a row")


def test_a_schedule_is_late_when_every_beat_is_dead_and_status_says_so(stack: Stack) -> None:
    with Receiver() as receiver:
        stack.settings["alert_url"] = receiver.url
        stack.worker()
        beat = stack.beat(schedules=schedules(stack, "[]", 'late_after = "3s"'))
        eventually(lambda: stack.ledger.runs(1, schedule="s", state="succeeded"), 20, "a success")
        beat.kill()
        eventually(lambda: receiver.requests, 20, "the alert")
        assert documents(receiver)[0]["kind"] == "late"
        assert documents(receiver)[0]["expected_by"]
        told = stack.anp("status")
        assert (told.returncode, "s is late" in told.stdout) == (1, True)
        stack.beat()
        eventually(lambda: len(receiver.requests) >= 2, 20, "the end of it")
        assert documents(receiver)[1]["kind"] == "late_over"


def test_a_schedules_runs_are_pinged_by_the_convention(stack: Stack) -> None:
    with Receiver() as receiver:
        stack.worker()
        beat = stack.beat(schedules=schedules(stack, "[]", f'ping_url = "{receiver.url}/uuid?x=1"'))
        eventually(lambda: len(receiver.requests) >= 4, 30, "pings")
        beat.stop()
        run = stack.ledger.runs(100, schedule="s", state="succeeded")[-1]
        rid = uuid5(NAMESPACE_URL, run.run_id)

        def of_run() -> list[Request]:
            return [request for request in receiver.requests if str(rid) in request.path]

        eventually(lambda: len(of_run()) == 2, 10, "both pings of a run")
        assert {request.path for request in of_run()} == {f"/uuid/start?x=1&rid={rid}", f"/uuid?x=1&rid={rid}"}


def test_a_receiver_that_is_away_or_hangs_holds_up_no_run(stack: Stack) -> None:
    with Receiver(slow=8) as receiver:
        stack.settings["alert_url"] = f"http://127.0.0.1:{port.free()}/"
        stack.worker()
        stack.beat(schedules=schedules(stack, "[]", f'ping_url = "{receiver.url}"\nlate_after = "1s"'))
        eventually(lambda: len(receiver.requests) >= 1, 20, "a ping under way")
        count = len(stack.ledger.runs(100, schedule="s", state="succeeded"))
        eventually(
            lambda: len(stack.ledger.runs(100, schedule="s", state="succeeded")) >= count + 4, 7, "runs to go on"
        )


def test_a_receiver_of_pings_that_hangs_holds_up_no_alert(stack: Stack) -> None:
    with Receiver(slow=60) as hanging, Receiver() as receiver:
        stack.settings["alert_url"] = receiver.url
        stack.worker()
        more = f'ping_url = "{hanging.url}"\npause_after = 4'
        stack.beat(schedules=schedules(stack, '[["fail", "KeyError"]]', more))
        eventually(lambda: Overrides(stack.ledger.store).on("s"), 30, "the pause")
        eventually(lambda: receiver.requests, 6, "the alert, while eight pings wait for a receiver that hangs")
        assert documents(receiver)[0]["kind"] == "paused"
        told = stack.anp("status")
        assert (told.returncode, "s is paused: 4 failures in a row" in told.stdout) == (1, True)
        assert "late_since" in stack.anp("schedules", "show", "s", "--json").stdout


def test_no_secret_of_a_run_is_told_outside(stack: Stack) -> None:
    with Receiver() as receiver:
        stack.worker()
        stack.beat(
            schedules=f"""
            [[schedule]]
            name = "s"
            task = "probe.secretive"
            every = "1s"
            input = {{ password = "hunter2", user = "careless" }}
            ping_url = "{receiver.url}"
            """
        )
        eventually(lambda: [one for one in receiver.requests if one.body], 30, "a failure to be told")
        told = [one.body for one in receiver.requests if one.body]
        assert "(secret) was refused" in told[0]
        assert not any("hunter2" in body for body in told)


def test_no_thread_of_the_outbox_imports_a_module() -> None:
    """A child forked meanwhile would wait for ever at the same import: seen, as tasks that never ended."""
    with Receiver() as receiver:
        script = f"""
import sys
from celery_anp.node.outbox import Item, _ping, new_client, tls
tls()
before = set(sys.modules)
item = Item(id="1", what="ping", kind="start", text="", at=1, attempts=1, run="r", url="{receiver.url}")
for url in (item.url, "http://nobody.invalid/"):
    with new_client() as client:
        try:
            client.send(_ping(client, Item(**{{**{{f: getattr(item, f) for f in item.__slots__}}, "url": url}})))
        except Exception as error:
            print(type(error).__name__)
print(sorted(set(sys.modules) - before))
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(receiver.requests) == 1
