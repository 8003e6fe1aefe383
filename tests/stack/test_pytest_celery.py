"""Our image as the worker of pytest-celery, one Redis of its own as broker and backend.

Small on purpose. What dies, who may do what and how it is replaced is tried on the compose file that ships (the other
files here), which pytest-celery would replace by containers that it makes up itself.
"""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryWorkerContainer,
    RedisContainer,
    RedisTestBackend,
    RedisTestBroker,
)
from pytest_docker_tools import container, fxtr

from celery_anp.errors import UnknownName
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.store import Store, connect
from tests.stack.compose import IMAGE
from tests.support.eventually import eventually

REDIS = "redis:8"
#: It builds the image, and sees to it that nothing is left.
pytestmark = pytest.mark.usefixtures("compose")


default_redis_broker = container(
    image=REDIS,
    command=fxtr("default_redis_broker_command"),
    network="{default_pytest_celery_network.name}",
    ports={"6379/tcp": None},
    tmpfs={"/data": "mode=1777"},  # a volume that the image declares would be left behind
    wrapper_class=RedisContainer,
    timeout=60,
)


@pytest.fixture
def url(default_redis_broker: RedisContainer) -> str:
    """The Redis as seen from here, also where here is a container."""
    host, port = default_redis_broker.get_addr("6379/tcp")
    return f"redis://{host}:{port}/0"


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> Any:
    """Redis alone; the plugin would try every broker that Celery knows."""
    cluster = CeleryBrokerCluster(celery_redis_broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(default_redis_broker: RedisContainer) -> Any:
    """The same Redis: a run and its result are settled in one script."""
    cluster = CeleryBackendCluster(RedisTestBackend(default_redis_broker))
    yield cluster
    cluster.teardown()


@pytest.fixture
def default_worker_env(default_redis_broker: RedisContainer) -> dict[str, str]:
    """What our image wants to know."""
    return {"ANP_REDIS_URL": default_redis_broker.url, "ANP_LEASE": "3", "ANP_CONCURRENCY": "1"}


default_worker_container = container(
    image=IMAGE,
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=CeleryWorkerContainer,
    command=["worker", "--queues=default", "--loglevel=INFO"],
    timeout=60,
)


@pytest.fixture
def ledger(url: str) -> Ledger:
    """The worker's ledger, as seen from here."""
    return Ledger(Store(connect(url), "anp"), lease=3000)


@pytest.fixture
def producer(url: str) -> Celery:
    """A plain Celery app that knows nothing of anp."""
    app = Celery("producer", broker=url, backend=url, set_as_current=False)
    app.conf.task_default_queue = "default"
    return app


def test_a_plain_producers_task_is_guarded_in_our_image(
    celery_setup: CeleryTestSetup, producer: Celery, ledger: Ledger
) -> None:
    result = producer.send_task("maintenance.heartbeat")
    assert result.get(timeout=30)["workers"] == 1
    run = ledger.run(result.id)
    assert (run.state, run.attempts, run.task) == ("succeeded", 1, "maintenance.heartbeat")


def test_killing_its_container_and_starting_it_again_loses_no_message(
    celery_setup: CeleryTestSetup, producer: Celery, ledger: Ledger
) -> None:
    worker = celery_setup.worker
    worker.kill()
    ids = [producer.send_task("maintenance.heartbeat").id for _ in range(5)]
    with pytest.raises(UnknownName):
        ledger.run(ids[0])
    worker.restart(force=True)
    eventually(lambda: [ledger.run(run_id).state for run_id in ids] == ["succeeded"] * 5, 60, "all of them to succeed")
