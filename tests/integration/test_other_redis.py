"""A Redis behind a socket of this machine works; one that is a cluster is refused by name before anything starts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import MovedError

from celery_anp.app import place
from celery_anp.checklist import redis as servers
from celery_anp.errors import LedgerUnavailable
from celery_anp.local.embedded.server import LEDGER, RedisServer
from celery_anp.reliability import keyspace
from celery_anp.reliability.direct import Connection, DirectStore
from celery_anp.reliability.store import Store, connect, translate
from tests.support.eventually import eventually
from tests.support.stack import Stack
from worker.site.separation import address

pytestmark = pytest.mark.long

EACH_SECOND = '[[schedule]]\nname = "s"\ntask = "probe.add"\nevery = "1s"\ninput = { x = 1, y = 2 }\n'
NAMED = "This Redis is a cluster"


@pytest.fixture
def socket_url() -> Iterator[str]:
    # A socket's path may have 107 characters; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="anp-") as folder:
        path = Path(folder) / "r.sock"
        with RedisServer(Path(folder) / "redis", LEDGER | {"unixsocket": str(path)}, password="pass-word"):
            yield f"redis+socket://:pass%2Dword@{path}?virtual_host=3"


def test_worker_beat_commands_and_results_over_a_socket(socket_url: str, tmp_path: Path) -> None:
    with Stack(tmp_path, socket_url) as stack:
        stack.worker()
        stack.beat(schedules=EACH_SECOND)
        assert stack.ledger.store.database == 3
        done = stack.anp("tasks", "run", "probe.add", "x=1", "y=2", "--wait")
        assert done.returncode == 0, done.stderr + done.stdout
        eventually(lambda: [run for run in stack.ledger.runs(schedule="s") if run.state == "succeeded"], 20, "a tick")
        assert stack.anp("health", "worker").returncode == 0
        client = stack.ledger.store.client
        assert list(client.scan_iter("celery-task-meta-*")), "its results are there too"
        assert "pass-word" not in "".join(process.said() for process in stack.processes)


def test_where_a_socket_and_its_database_are(socket_url: str) -> None:
    path = socket_url.partition("@")[2].partition("?")[0]
    assert place(socket_url) == (path, "3")
    assert place(f"redis+socket://{path}") == place(f"redis+socket://{path}?virtual_host=/0") == (path, "0")
    assert address(socket_url) == (path, 0, 3)
    (point,) = [one for one in servers.ledger(socket_url) if one.what.startswith("the way to it")]
    assert point.ok


def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = Store(connect(f"redis+socket://{tmp_path}/nobody.sock", retries=0), "anp")
    with pytest.raises(LedgerUnavailable, match="Redis does not answer"):
        store.check_server()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis in cluster mode that has all slots."""
    config = LEDGER | {"cluster-enabled": "yes"}
    with RedisServer(tmp_path_factory.mktemp("cluster"), config, password="loopback") as server:
        client = connect(server.url)
        client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383" if _has_ranges(client) else _each_slot())
        eventually(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 20, "the cluster")
        yield server
        client.close()


def _has_ranges(client: object) -> bool:
    return int(client.info("server")["redis_version"].split(".")[0]) >= 7  # type: ignore[attr-defined]


def _each_slot() -> str:
    return "CLUSTER ADDSLOTS " + " ".join(map(str, range(16384)))


def test_a_cluster_is_named_by_both_ways_to_the_ledger(cluster: RedisServer) -> None:
    stores = (Store(connect(cluster.url), "anp"), DirectStore(Connection(cluster.url, 5), "anp"))
    for store in stores:
        with pytest.raises(LedgerUnavailable, match=NAMED) as told:
            store.check_server()
        assert told.value.retry_safe is False


@pytest.mark.parametrize(
    "said",
    [
        "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CLUSTERDOWN Hash slot not served",
        "CROSSSLOT Keys in request don't hash to the same slot", "ERR SELECT is not allowed in cluster mode",
        "Error running script: @user_script: 9: -MOVED 3999 127.0.0.1:6381",
        "ERR Script attempted to access a non local key in a cluster node script: f_1",
    ],
)  # fmt: skip
def test_what_a_cluster_of_several_says_is_named(said: str) -> None:
    given = keyspace.said_no(said)
    assert NAMED in str(given)
    assert given.retry_safe is False
    assert NAMED in str(translate(MovedError("3999 127.0.0.1:6381")))


def test_a_worker_a_beat_and_the_commands_name_a_cluster_and_end(cluster: RedisServer, tmp_path: Path) -> None:
    with Stack(tmp_path, cluster.url) as stack:
        started = (stack.worker(wait=False), stack.beat(schedules=EACH_SECOND, wait=False))
        for process in started:
            assert process.process.wait(30) == 1
            assert f"anp: {NAMED}" in process.said()
            assert "Traceback" not in process.said()
        assert NAMED in stack.anp("status").stdout
        done = stack.anp("check")
        assert done.returncode == 1
        assert "FAIL  ledger     Redis is one server, not a cluster" in done.stdout


def test_one_server_passes(redis: object) -> None:
    points = {point.what: point.ok for point in servers.ledger(os.environ["ANP_REDIS_URL"])}
    assert points["Redis is one server, not a cluster"]
