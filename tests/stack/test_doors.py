"""Who may do what: Redis' users with forbidden commands, Flower without its password, wrong secrets, no Redis."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from tests.stack.compose import IMAGE, Compose
from tests.support.eventually import eventually

#: Commands that no user of ours may give.
FORBIDDEN = (
    "FLUSHALL",
    "CONFIG GET *",
    "KEYS *",
    "SHUTDOWN",
    "DEBUG SLEEP 0",
    "ACL LIST",
    "MONITOR",
    "SAVE",
    "REPLICAOF NO ONE",
)
REFUSED = r"no permissions|not allowed"
#: Pages of Flower. Its style sheets are open, as everywhere: they are Flower's own and tell nothing.
PAGES = (
    "/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck", "/api/workers", "/api/tasks",
    "/api/queues/length", "/worker/x", "/task/x", "/api/task/info/x", "/api/task/types",
)  # fmt: skip


def client(compose: Compose, secret: str, service: str) -> Redis:
    """A Redis as one of its users sees it."""
    return Redis.from_url(compose.secret(secret).replace(f"@{service}:", f"@{compose.address(service)}:"))


@pytest.mark.parametrize("command", FORBIDDEN)
@pytest.mark.parametrize(
    ("secret", "service"), [("redis_url", "redis"), ("flower_redis_url", "redis"), ("cache_url", "cache")]
)
def test_no_user_may_give_dangerous_commands(compose: Compose, secret: str, service: str, command: str) -> None:
    with client(compose, secret, service) as redis, pytest.raises(ResponseError, match=REFUSED):
        redis.execute_command(*command.split())


@pytest.mark.parametrize(
    ("secret", "service", "command"),
    [
        ("redis_url", "redis", "SET other 1"),
        ("redis_url", "redis", "FLUSHDB"),
        ("flower_redis_url", "redis", "SET anp:ledger:cursors 1"),
        ("flower_redis_url", "redis", "DEL anp:ledger:cursors"),
        ("flower_redis_url", "redis", "LPUSH default x"),
        ("cache_url", "cache", "SET other 1"),
        ("cache_url", "cache", "SET anp:ledger:x 1"),
    ],
)
def test_each_user_keeps_to_its_keys(compose: Compose, secret: str, service: str, command: str) -> None:
    with client(compose, secret, service) as redis, pytest.raises(NoPermissionError):
        redis.execute_command(*command.split())


def test_nobody_enters_redis_without_a_password(compose: Compose) -> None:
    with Redis(compose.address("redis")) as redis, pytest.raises(Exception, match=r"(?i)auth"):
        redis.ping()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_of_flower_opens_without_the_password(compose: Compose, page: str) -> None:
    url = f"http://{compose.address('flower')}:5555{page}"
    for login in (None, ("anp", "wrong"), ("admin", compose.secret("flower_password"))):
        answer = httpx.get(url, auth=login, timeout=10, trust_env=False)
        assert answer.status_code == 401, (page, login)


def test_flower_opens_with_the_password_and_cannot_change_anything(compose: Compose) -> None:
    url, login = f"http://{compose.address('flower')}:5555", ("anp", compose.secret("flower_password"))
    assert httpx.get(url, auth=login, timeout=10, follow_redirects=True, trust_env=False).status_code == 200
    refused = httpx.post(f"{url}/api/worker/shutdown/x", auth=login, timeout=10, trust_env=False)
    assert refused.status_code in (401, 403, 404, 405)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["-e", "ANP_REDIS_URL=redis://anp:wrong@redis:6379/0"], "Redis refused us"),
        (["-e", "ANP_REDIS_URL=redis://nowhere:6379/0"], "Redis does not answer"),
        (["-e", "ANP_REDIS_URL_FILE=/run/secrets/missing"], "ANP_REDIS_URL_FILE cannot be read"),
    ],
    ids=["wrong password", "unreachable", "missing secret"],
)
@pytest.mark.parametrize("part", ["worker", "beat"])
def test_what_is_wrong_is_said_once_and_it_ends(compose: Compose, part: str, settings: list[str], said: str) -> None:
    began = time.monotonic()
    done = compose.docker(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", f"{compose.name}_back", *settings, IMAGE, part,
        check=False, timeout=120,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert said in told
    assert "Traceback" not in told
    assert "wrong" not in told.replace("wrong number", "")
    assert time.monotonic() - began < 60


def test_workers_and_beats_answer_remote_pings_and_nobody_is_refused_what_it_needs(compose: Compose) -> None:
    ping = "from worker.app import app; print(*(name for answer in app.control.ping(timeout=8) for name in answer))"

    def answered() -> bool:
        names = compose("exec", "-T", "worker-imports", "python", "-c", ping).stdout.split()
        return sorted(name.partition("@")[0] for name in names) == ["beat", "beat", "celery", "celery", "celery"]

    eventually(answered, 60, "two beats and three workers to answer")
    assert "NoPermission" not in compose("logs", "--no-color").stdout


def test_a_worker_that_cannot_start_is_restarted_with_growing_pauses_and_says_why(compose: Compose) -> None:
    container = compose.docker(
        "run", "-d", "--restart", "unless-stopped", "--read-only", "--tmpfs", "/tmp",
        "--network", f"{compose.name}_back",
        "-e", "ANP_REDIS_URL=redis://nowhere:6379/0", IMAGE, "worker",
    ).stdout.strip()  # fmt: skip
    try:
        eventually(lambda: compose.inspect(container)["RestartCount"] >= 2, 60, "it to be restarted")
        since = time.monotonic()
        before = compose.inspect(container)["RestartCount"]
        eventually(lambda: time.monotonic() - since > 6, 15, "six seconds to pass")
        assert compose.inspect(container)["RestartCount"] - before < 5
        done = compose.docker("logs", container)
        assert "Redis does not answer" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        compose.docker("rm", "-f", "-v", container)


def test_a_secret_is_in_no_log_no_row_and_no_page(compose: Compose) -> None:
    secret = "tell-nobody-either"
    run = ("exec", "-T", "worker", "anp", "tasks", "run", "probe.secretive", f"password={secret}")
    compose(*run, "user=chatty", "--wait", "--key", "chatty")
    failed = compose(*run, "user=careless", "--wait", "--key", "careless", check=False)
    assert failed.returncode == 1
    logs = compose("logs", "--no-color", "worker", "flower").stdout
    assert "chatty logs in with (secret)" in logs
    assert "(secret) was refused" in logs
    row = compose.ledger().run("probe.secretive#careless")
    url, login = f"http://{compose.address('flower')}:5555", ("anp", compose.secret("flower_password"))
    pages = [
        httpx.get(f"{url}/{page}/probe.secretive%23careless", auth=login, timeout=10, trust_env=False)
        for page in ("task", "api/task/info")
    ]
    assert [page.status_code for page in pages] == [200, 200]
    assert "(secret) was refused" in pages[1].text
    assert secret not in logs + failed.stdout + failed.stderr + repr(row) + "".join(page.text for page in pages)


def test_the_production_checklist_passes_as_shipped(compose: Compose) -> None:
    shipped = ("-e", "ANP_TASKS=", "-e", "ANP_SCHEDULES=/etc/anp/schedules/maintenance.toml")
    done = compose("exec", "-T", *shipped, "worker", "anp", "check", "--json", check=False)
    points = json.loads(done.stdout)["points"]
    failed = [(point["what"], point["wrong"]) for point in points if not point["ok"] and point["area"] != "pages"]
    assert failed == []
    assert len(points) > 30
    assert "tell-nobody" not in done.stdout + compose("logs", "--no-color").stdout


def test_the_containers_are_as_closed_as_they_are_declared(compose: Compose) -> None:
    for service in ("redis", "cache", "worker", "beat", "flower"):
        for container in compose.containers(service):
            held = compose.inspect(container)
            host = held["HostConfig"]
            assert host["ReadonlyRootfs"], service
            assert host["CapDrop"] == ["ALL"], service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            assert (host["Memory"] > 0, host["PidsLimit"] > 0, host["NanoCpus"] > 0) == (True, True, True), service
            assert held["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
            assert not any(secret in str(held["Config"]["Env"]) for secret in ("redis://anp:", "mysql+")), service
