"""What dies in containers: workers killed, paused, cut off and out of memory; Redis restarted; everything replaced.

A schedule ticks each second all the while; the last test here counts its ticks.
"""

from __future__ import annotations

import os
import re
import signal

from celery_anp.errors import AnpError
from celery_anp.reliability.run import Run
from tests.stack.compose import LEASE, MORE, Compose
from tests.support.eventually import eventually

RUNNING = frozenset({"running"})


def running(compose: Compose, key: str, seconds: float) -> tuple[str, Run, str]:
    """A run that sleeps, the row once it runs, and the container that it runs in."""
    run_id = compose.send(["sleep", seconds], ["effect", "e"], key=key)
    run = compose.reaches(run_id, RUNNING)
    return run_id, run, compose.container_of(run)


def test_a_guarded_task_runs_through_containers(compose: Compose) -> None:
    fields = ("path=/var/lib/anp/journal", 'script=[["effect", "e"]]', "lock=first")
    compose("exec", "-T", "worker", "anp", "tasks", "run", "probe", *fields, "--key", "first")
    run = compose.reaches("probe#first")
    assert (run.state, run.attempts) == ("succeeded", 1)


def test_a_killed_worker_container_costs_its_run_a_lease(compose: Compose) -> None:
    run_id, _, container = running(compose, "killed", 6)
    began = compose.ledger().now()
    compose.docker("kill", container)
    again = eventually(lambda: (run := compose.ledger().run(run_id)).attempts == 2 and run, LEASE + MORE, "attempt 2")
    assert again
    assert compose.ledger().now() - began < (LEASE + MORE) * 1000
    ended = compose.reaches(run_id)
    assert (ended.state, ended.attempts, ended.losses) == ("succeeded", 2, 1)
    compose.up("worker")


def test_a_killed_container_that_docker_starts_again_waits_for_no_lease(compose: Compose) -> None:
    with compose.supervised("default-seen", lease=120) as container:
        run_id = compose.send(["sleep", 4], ["effect", "e"], key="seen", queue="default-seen")
        compose.reaches(run_id, RUNNING)
        began = compose.ledger().now()
        os.kill(compose.inspect(container)["State"]["Pid"], signal.SIGKILL)
        ended = compose.reaches(run_id)
        assert compose.inspect(container)["RestartCount"] == 1
    assert (ended.state, ended.attempts, ended.losses) == ("succeeded", 2, 1)
    again = next(step.time.timestamp() for step in ended.history if step.reason == "attempt 2")
    print(f"kill -9 of the container to re-run, with its start: {again - began / 1000:.1f} s")
    reason = next(step.reason for step in ended.history if step.after == "queued" and step.before == "running")
    # which of them depends on the numbers that the kernel gives to the namespace and the worker of the new container
    assert re.fullmatch("its container was started again|its worker was killed: pid .*", reason)
    assert len(compose.journal(run_id, "begin")) == 2


def test_a_paused_worker_container_is_refused_when_it_wakes_up(compose: Compose) -> None:
    run_id, _, container = running(compose, "paused", 8)
    compose.docker("pause", container)
    ended = compose.reaches(run_id)
    compose.docker("unpause", container)
    assert (ended.state, ended.attempts) == ("succeeded", 2)
    eventually(lambda: len(compose.ledger().nodes()) == 5, 30, "three workers and two beats")
    assert compose.ledger().run(run_id).attempts == 2


def test_a_worker_container_cut_off_its_network_loses_its_run_and_comes_back(compose: Compose) -> None:
    run_id, _, container = running(compose, "cut", 8)
    compose.docker("network", "disconnect", f"{compose.name}_back", container)
    ended = compose.reaches(run_id)
    compose.docker("network", "connect", f"{compose.name}_back", container)
    assert (ended.state, ended.attempts) == ("succeeded", 2)
    eventually(lambda: len(compose.ledger().nodes()) == 5, 60, "three workers and two beats")


def test_a_run_that_eats_its_containers_memory_is_quarantined_and_the_workers_stay(compose: Compose) -> None:
    run_id = compose.send(["eat", 600], key="eater")
    ended = compose.reaches(run_id, timeout=90)
    assert (ended.state, ended.losses) == ("quarantined", 3)
    assert any("quarantined: took its worker down too often" in step.reason for step in ended.history)
    assert compose.reaches(compose.send(["effect", "e"], key="after-eater")).state == "succeeded"


def test_redis_restarted_on_its_volume_keeps_what_it_answered(compose: Compose) -> None:
    run_id, _, _ = running(compose, "restarted", 8)
    before = {run.run_id for run in compose.ledger().runs(1000) if run.task == "probe"}
    compose.docker("kill", *compose.containers("redis"))
    compose.up("--force-recreate", "redis")  # another container on the same volume
    ended = compose.reaches(run_id)
    assert ended.state == "succeeded"
    assert before <= {run.run_id for run in compose.ledger().runs(1000) if run.task == "probe"}


def test_the_cache_filled_to_its_limit_and_flushed_touches_no_message(compose: Compose) -> None:
    run_id, _, _ = running(compose, "cached", 3)
    fill = (
        "import redis, sys; from worker.settings import settings; c = redis.Redis.from_url(settings().cache_url)\n"
        "for n in range(400):\n"
        "    with c.pipeline(transaction=False) as p:\n"
        "        [p.set(f'anp:site:{n}:{i}', b'x' * 20000) for i in range(20)]\n"
        "        p.execute()\n"
        "info = c.info(); print(info['evicted_keys'] > 0, info['used_memory'] <= info['maxmemory'] * 1.1); c.flushdb()"
    )
    told = compose("exec", "-T", "worker-imports", "python", "-c", fill)
    assert told.stdout.split() == ["True", "True"]
    assert compose.reaches(run_id).state == "succeeded"


def test_a_stopped_worker_gives_its_task_the_grace_and_then_the_run_goes_back(compose: Compose) -> None:
    short, _, first = running(compose, "short", 3)
    compose.docker("stop", "-t", "40", first)
    ended = compose.reaches(short)
    assert (ended.state, ended.attempts, ended.losses) == ("succeeded", 1, 0)
    compose.up("worker")
    long, _, second = running(compose, "long", 9)
    compose.docker("stop", "-t", "40", second)
    ended = compose.reaches(long)
    assert (ended.state, ended.attempts) == ("succeeded", 2)
    assert ended.losses == 1, "it went back, and was not waited for until its node died"
    assert any("shut down" in step.reason for step in ended.history), [step.reason for step in ended.history]
    compose.up("worker")


def test_every_container_can_be_replaced_while_schedules_tick(compose: Compose) -> None:
    for service in ("beat", "worker"):
        compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", "--wait", "--wait-timeout", "180", service)
    eventually(lambda: len(compose.ledger().nodes()) == 5, 60, "three workers and two beats")


def test_zz_no_tick_was_lost_or_doubled_through_all_of_it(compose: Compose) -> None:
    waited = ("beat", "flower")
    restarts = [compose.inspect(container)["RestartCount"] for name in waited for container in compose.containers(name)]
    assert set(restarts) == {0}, "without Redis they wait, and do not fall over"
    runs = compose.unbroken_ticks()
    for run in runs:
        try:
            ended = compose.reaches(run.run_id, timeout=30)
        except AnpError:
            continue  # the oldest rows make room
        assert ended.state == "succeeded", ended
