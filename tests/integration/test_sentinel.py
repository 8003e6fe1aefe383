"""A failover behind sentinels: workers and beats follow to the new master within thirty seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_anp.errors import BadSetting
from celery_anp.reliability import sentinel
from celery_anp.settings import read
from tests.support.eventually import eventually
from tests.support.sentinels import Watched
from tests.support.stack import Stack

EACH_SECOND = '[[schedule]]\nname = "s"\ntask = "probe.add"\nevery = "1s"\ninput = { x = 1, y = 2 }\n'
#: Seconds in which they have followed.
FOLLOWED = 30


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What the sentinels want; this process reads the ledger, too."""
    monkeypatch.setenv("ANP_SENTINEL_PASSWORD", "sentinels-0123456789")
    read.cache_clear()
    yield "sentinels-0123456789"
    read.cache_clear()


@pytest.mark.timeout(180)
@pytest.mark.long
def test_workers_and_beats_follow_a_failover(tmp_path: Path, password: str) -> None:
    (tmp_path / "stack").mkdir()
    login = {"sentinel_password": password}
    with Watched(tmp_path, password) as watched, Stack(tmp_path / "stack", watched.url, login) as stack:
        stack.worker()
        stack.worker()
        stack.beat(schedules=EACH_SECOND)
        stack.beat()

        def succeeded() -> int:
            return len(stack.ledger.runs(1000, schedule="s", state="succeeded"))

        eventually(lambda: succeeded() >= 3, 30, "runs on the first master")
        told = stack.anp("runs", "list", "--limit", "1")
        assert told.returncode == 0, told.stderr
        watched.kill_master()
        eventually(lambda: watched.replica.client().info("replication")["role"] == "master", FOLLOWED, "the failover")
        before = eventually(stack.ledger.now, FOLLOWED, "the sentinels to name the new master")

        def follows() -> bool:
            runs = stack.ledger.runs(5, schedule="s", state="succeeded")
            return sum(bool(run.tick and run.tick.timestamp() * 1000 > before) for run in runs) >= 3

        eventually(follows, FOLLOWED, "runs of new ticks on the new master")
        eventually(lambda: len(stack.ledger.nodes()) == 4, FOLLOWED, "two workers and two beats")
        said = "".join(p.said() for p in stack.processes)
        assert "Traceback" not in "".join(p.said() for p in stack.processes if p.name.startswith("beat"))
        assert password not in said + told.stdout + told.stderr


@pytest.mark.long
def test_sentinels_that_want_a_password_are_not_asked_without_it(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    with Watched(tmp_path, "sentinels-0123456789") as watched, Stack(tmp_path / "stack", watched.url) as stack:
        told = stack.anp("runs", "list")
    assert told.returncode == 1
    assert "Redis does not answer" in told.stderr or "Redis refused us" in told.stderr


@pytest.mark.parametrize(
    ("url", "hosts", "login", "service"),
    [
        ("sentinel://h:1;g:2/3?service=x", (("h", 1), ("g", 2)), (None, None), "x"),
        ("sentinel://u:p%40s@h:1;g/3", (("h", 1), ("g", 26379)), ("u", "p@s"), "mymaster"),
        ("sentinel://:p@h:1/3;sentinel://:p@g:2/3", (("h", 1), ("g", 2)), (None, "p"), "mymaster"),
    ],
)
def test_a_url_of_sentinels_says_where_who_and_what(
    url: str, hosts: tuple[tuple[str, int], ...], login: tuple[str | None, str | None], service: str
) -> None:
    address = sentinel.parse(url)
    assert (address.hosts, address.database, address.service) == (hosts, 3, service)
    assert (address.user, address.password) == login
    assert sentinel.parse(f"{address.kombu()}?service={service}") == address


@pytest.mark.parametrize("url", ["sentinel://h:port/0", "sentinel://u:secret@:1/0", "sentinel://h:1/nine"])
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadSetting) as refused:
        sentinel.parse(url)
    assert "secret" not in str(refused.value)
