"""The ledger without redis-py gives the answers that it gives with it, and fails in the same words."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from celery_anp.errors import LedgerFull, LedgerUnavailable
from celery_anp.reliability.direct import Connection, DirectStore, _login, reachable
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.store import Store, connect
from tests.support.moved import Moved, begin, new, settle
from tests.support.stack import Stack

READS: list[tuple[Any, ...]] = [
    ("hgetall", "hash"), ("hgetall", "none"), ("hget", "hash", "b"), ("hget", "none", "b"), ("hkeys", "hash"),
    ("get", "text"), ("get", "none"), ("lrange", "list", 0, -1), ("zcard", "sorted"), ("hlen", "hash"),
    ("zrange", "sorted", 0, -1), ("zrange", "sorted", 0, -1, False, True), ("zrevrange", "sorted", 0, 1),
    ("exists", "text"),
]  # fmt: skip


@pytest.fixture
def direct(redis: Redis) -> DirectStore:
    return DirectStore(Connection(os.environ["ANP_REDIS_URL"], 5), "anp")


@pytest.fixture
def stores(redis: Redis, direct: DirectStore) -> tuple[Keyspace, Keyspace]:
    redis.hset("hash", mapping={"a": "1", "b": "zwölf\r\n€", "": ""})
    redis.set("text", "x" * 100_000)
    redis.rpush("list", "a", "b")
    redis.zadd("sorted", {"first": 1, "second": 2.5})
    return Store(connect(os.environ["ANP_REDIS_URL"]), "anp"), direct


@pytest.mark.parametrize("command", READS, ids=str)
def test_an_answer_is_the_same(stores: tuple[Keyspace, Keyspace], command: tuple[Any, ...]) -> None:
    def plain(answer: Any) -> Any:
        return [list(one) if isinstance(one, tuple) else one for one in answer] if isinstance(answer, list) else answer

    theirs, ours = (plain(store.read(*command)) for store in stores)
    assert ours == theirs


@pytest.mark.parametrize("which", [0, 1], ids=["with redis-py", "without"])
def test_what_is_written_is_there(stores: tuple[Keyspace, Keyspace], redis: Redis, which: int) -> None:
    store = stores[which]
    store.read("set", "new", "1", 60)
    assert redis.get("new") == "1"
    assert 0 < redis.ttl("new") <= 60
    assert [int(store.read("incr", "new")) for _ in range(2)] == [2, 3]
    assert int(store.read("delete", "new")) == 1
    assert not redis.exists("new")


def test_several_are_answered_in_their_order(stores: tuple[Keyspace, Keyspace]) -> None:
    assert [store.several([("zcard", "sorted"), ("get", "none")]) for store in stores] == [[2, None]] * 2
    assert stores[1].several([]) == []


def test_the_server_is_known_by_its_version(stores: tuple[Keyspace, Keyspace]) -> None:
    assert stores[0].check_server() == stores[1].check_server()


def test_the_ledger_reads_and_steers_the_same(ledger: Moved, direct: DirectStore) -> None:
    ledger.plan([new("a"), new("b")])
    other = Ledger(direct)
    assert [run.public() for run in other.runs()] == [run.public() for run in ledger.runs()]
    assert other.operate("a", "cancel", "somebody").state == "cancelled"
    assert ledger.run("a").state == "cancelled"


def test_a_living_node_is_seen_by_both(stores: tuple[Keyspace, Keyspace]) -> None:
    theirs, ours = (Ledger(store) for store in stores)
    theirs.heartbeat("a-node", {"kind": "beat", "host": "here", "pid": "7"}, news={"round": "1"})
    assert [node.node for node in ours.nodes()] == ["a-node"]
    assert [node._replace(lease_left=0) for node in ours.nodes()] == [
        node._replace(lease_left=0) for node in theirs.nodes()
    ]


def test_a_script_that_redis_has_forgotten_is_given_again(ledger: Moved, direct: DirectStore, redis: Redis) -> None:
    ledger.plan([new("a")])
    redis.script_flush()
    assert Ledger(direct).operate("a", "cancel", "somebody").state == "cancelled"


def test_a_connection_that_ends_is_opened_again(direct: DirectStore, redis: Redis) -> None:
    redis.set("text", "x")
    assert direct.read("get", "text") == "x"
    redis.client_kill_filter(_type="normal", skipme=True)
    assert direct.read("get", "text") == "x"


def test_full_memory_is_told_as_what_it_is(ledger: Moved, direct: DirectStore) -> None:
    ledger.set_full(True)
    with pytest.raises(LedgerFull):
        Ledger(direct).plan([new("a")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace(":loopback@", ":wrong@"), "Redis refused us"),
        (lambda url: url.replace(":loopback@", ""), "Redis refused us"),
        (lambda url: f"{url.rpartition(':')[0]}:1/0", "Redis does not answer.*Connection refused"),
        (lambda url: url[:-1] + "99", "DB index is out of range"),
    ],
)
def test_a_refusal_reads_as_with_redis_py(redis: Redis, change: Callable[[str], str], said: str) -> None:
    url = change(os.environ["ANP_REDIS_URL"])
    for store in (Store(connect(url, retries=0), "anp"), DirectStore(Connection(url, 5), "anp", ())):
        with pytest.raises(LedgerUnavailable, match=said) as told:
            store.read("get", "text")
        assert "loopback" not in str(told.value)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        with pytest.raises(LedgerUnavailable, match="Timeout"):
            DirectStore(Connection(url, 0.2), "anp", ()).read("get", "text")


def test_half_an_answer_is_no_answer() -> None:
    def speak(server: socket.socket) -> None:
        for _ in range(2):
            asked, _ = server.accept()
            asked.recv(1000)
            asked.sendall(b"+OK\r\n")
            asked.recv(1000)
            asked.sendall(b"$10\r\nhalf")
            asked.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=speak, args=(server,), daemon=True)
        thread.start()
        store = DirectStore(Connection(f"redis://127.0.0.1:{server.getsockname()[1]}/0", 5), "anp", (0.01,))
        with pytest.raises(LedgerUnavailable, match="Connection closed by server"):
            store.read("get", "text")
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("url", "so"),
    [
        ("redis://:p%40ss@[::1]:6379/3", True),
        ("rediss://user:word@host/0", True),
        ("redis://host:6379/0?socket_timeout=3", False),
        ("sentinel://host:26379/0?service=x", False),
        ("redis+socket:///run/redis.sock", False),
    ],
)
def test_what_only_redis_py_understands_is_left_to_it(url: str, so: bool) -> None:
    assert reachable(url) is so


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("me:p%40ss%2F@", [("AUTH", "me", "p@ss/")]),
        (":p%40ss@", [("AUTH", "default", "p@ss")]),
        ("me@", [("AUTH", "me", "")]),
        ("me:@", [("AUTH", "me", "")]),
        ("", []),
    ],
)
def test_a_login_is_unquoted_and_names_its_user(login: str, said: list[tuple[str, ...]]) -> None:
    assert _login(urlsplit(f"redis://{login}host/3")) == said


@pytest.mark.parametrize("path", ["", "/", "/3", "/%33", "/0/3", "/abc", "/ 3"])
def test_the_database_is_read_as_redis_py_reads_it(path: str) -> None:
    url = f"redis://host:6379{path}"
    assert Connection(url, 1).database == Store(connect(url), "anp").database


def test_a_user_without_a_password_is_that_user(redis: Redis) -> None:
    place = os.environ["ANP_REDIS_URL"].rpartition("@")[2]
    redis.acl_setuser("passwordless", enabled=True, nopass=True, commands=["+@all"], keys=["*"])
    try:
        direct = DirectStore(Connection(f"redis://passwordless@{place}", 5), "anp")
        assert direct.read("acl", "whoami") == "passwordless"
        direct.client.close()
    finally:
        redis.acl_deluser("passwordless")


def test_a_password_that_nobody_asks_for_does_no_harm(redis: Redis) -> None:
    redis.acl_setuser("passwordless", enabled=True, nopass=True, commands=["+@all"], keys=["*"])
    place = os.environ["ANP_REDIS_URL"].rpartition("@")[2]
    try:
        direct = DirectStore(Connection(f"redis://passwordless:word@{place}", 5), "anp")
        assert direct.read("exists", "none") == 0
        direct.client.close()
    finally:
        redis.acl_deluser("passwordless")


def test_an_answer_that_is_no_text_can_be_read_and_asked_for(direct: DirectStore, redis: Redis) -> None:
    redis.hset("hash", mapping={"a": b"caf\xe9", b"caf\xe9": "b"})
    assert direct.read("hgetall", "hash") == {"a": "caf\udce9", "caf\udce9": "b"}
    assert direct.read("hget", "hash", "caf\udce9") == "b"


def test_a_redis_with_too_many_clients_is_asked_again() -> None:
    def speak(server: socket.socket) -> None:
        for said in (b"-ERR max number of clients reached\r\n", b"+OK\r\n:7\r\n"):
            asked, _ = server.accept()
            asked.recv(1000)
            asked.sendall(said)
            asked.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=speak, args=(server,), daemon=True)
        thread.start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        assert DirectStore(Connection(url, 5), "anp", (0.01,)).read("zcard", "sorted") == 7
        thread.join(5)


def test_a_result_that_no_screen_can_show_hides_no_other_run(ledger: Moved, stack: Stack) -> None:
    ledger.plan([new("a"), new("b")])
    begin(ledger, "a")
    settle(ledger, "a", result=json.dumps("\udcff"))
    shown = stack.anp("runs", "list")
    assert (shown.returncode, "\\udcff" in shown.stdout, "\nb " in shown.stdout) == (0, True, True), shown.stderr
    assert {run["run_id"] for run in json.loads(stack.anp("runs", "list", "--json").stdout)} == {"a", "b"}
