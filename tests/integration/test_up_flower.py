"""The Flower pages: closed without the password, read only, on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from celery_anp.local.embedded import RedisServer
from celery_anp.process.port import HOST, free
from celery_anp.settings import environment
from tests.support.eventually import eventually

LOGIN = ("anp", "a password")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("flower")
    port = free()
    with RedisServer.ledger(folder) as redis:
        env = environment(redis_url=redis.url, flower_password=LOGIN[1], state=str(folder))
        command = [sys.executable, "-m", "celery_anp", "flower", "--port", str(port)]
        process = subprocess.Popen(command, env=env)
        url = f"http://{HOST}:{port}"
        try:
            eventually(lambda: httpx.get(url).status_code == 401, 30, "Flower answers")
            addresses = {c.laddr.ip for c in psutil.Process(process.pid).net_connections("tcp") if c.status == "LISTEN"}
            assert addresses == {HOST}
            yield url
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("page", ["/", "/tasks", "/broker", "/metrics", "/healthcheck", "/api/workers", "/api/tasks"])
def test_no_page_is_given_without_the_password(pages: str, page: str) -> None:
    assert httpx.get(pages + page).status_code == 401
    assert httpx.get(pages + page, auth=("anp", "wrong")).status_code == 401
    assert httpx.get(pages + page, auth=LOGIN).status_code == 200


@pytest.mark.parametrize("page", ["/api/task/send-task/maintenance.heartbeat", "/api/worker/shutdown/x"])
def test_nothing_can_be_changed_there(pages: str, page: str) -> None:
    assert httpx.post(pages + page, auth=LOGIN, json={}).status_code == 403


def test_a_port_in_use_is_named(pages: str) -> None:
    port = pages.rpartition(":")[2]
    command = [sys.executable, "-m", "celery_anp", "flower", "--port", port]
    env = environment(redis_url="redis://127.0.0.1:1/0", flower_password="x")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, f"{HOST}:{port}" in done.stderr) == (2, True)
