"""A set of schedules that lost everything keeps the last good one; two apps on one ledger end nobody's schedules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from celery_anp.app import guard
from celery_anp.beat.adoption import declaration
from celery_anp.beat.catalog import last_good, load
from celery_anp.errors import BadDeclaration, LostSchedules, OtherApp
from celery_anp.reliability.live import Live
from tests.integration.test_live_schedules import every, said, ticks, trouble, write
from tests.support.eventually import eventually
from tests.support.moved import Moved
from tests.support.stack import Process, Stack
from tests.support.told import alerts
from worker.app import app

pytestmark = pytest.mark.long

SHOP = """
from celery import Celery
from celery_anp import guard

app = guard(Celery("{name}", broker="{url}", backend="{url}"))

@app.task(name="{name}.go")
def go():
    return "gone"

app.conf.beat_schedule = {{"{name}-tick": {{"task": "{name}.go", "schedule": 1.0}}}}
"""


def live(stack: Stack) -> set[str]:
    return set(Live(stack.ledger.store).declared())


# -- an emptied set ---------------------------------------------------------------------------------------------------


def truncated(file: Path) -> None:
    file.write_bytes(b"")


def gone(file: Path) -> None:
    file.unlink()


def commented_out(file: Path) -> None:
    file.write_text("# " + file.read_text().replace("\n", "\n# "))


@pytest.mark.parametrize("lose", [truncated, gone, commented_out])
def test_a_set_that_loses_everything_keeps_the_last_good_one(stack: Stack, lose: Callable[[Path], None]) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: ticks(stack), 20, "a tick")
    lose(stack.folder / "schedules.toml")
    said(beat, "its last good schedules stay")
    assert "schedules = []" in beat.said() or "cannot be read" in beat.said()
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= count + 2, 10, "ticks to go on")
    eventually(lambda: "last good schedules stay" in trouble(stack), 10, "the trouble to be told")
    assert live(stack) == {"s"}
    beat.stop()
    again = stack.beat(file="schedules.toml")  # what it has in memory is gone; the ledger has it
    assert "its last good schedules stay" in again.said()
    count = len(ticks(stack))
    eventually(lambda: len(ticks(stack)) >= count + 2, 10, "ticks to go on")
    assert live(stack) == {"s"}
    eventually(lambda: "last good schedules stay" in trouble(stack), 10, "the trouble to be told again")
    assert "last good schedules stay" in stack.anp("status").stdout
    listed = stack.anp("schedules", "list", "--json")
    assert "last good schedules stay" in listed.stderr
    assert [one["name"] for one in json.loads(listed.stdout)] == ["s"]
    write(stack, every(1) + every(1, "t"))
    eventually(lambda: live(stack) == {"s", "t"}, 20, "the mended set")
    eventually(lambda: not trouble(stack), 10, "the trouble to be over")


def test_the_last_schedule_is_removed_on_purpose(stack: Stack) -> None:
    beat = stack.beat(schedules=every(1))
    eventually(lambda: live(stack) == {"s"}, 20, "it to be live")
    write(stack, "# nothing is due here any more\nschedules = []\n")
    said(beat, "beat has 0 schedules, read anew")
    eventually(lambda: not live(stack), 10, "it to be gone")
    assert not trouble(stack)
    beat.stop()
    assert "last good" not in stack.beat(file="schedules.toml").said()


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("", LostSchedules, "has no bytes"),
        ("schedules = []\n" + every(1), BadDeclaration, "beside others"),
        ("schedules = [1]\n", BadDeclaration, "schedules is not known here"),
        ("schedules = 1\n", BadDeclaration, "schedules is not known here"),
    ],
)
def test_what_a_file_without_entries_may_say(tmp_path: Path, text: str, kind: type[Exception], told: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(kind, match=told):
        load([file], app)


def test_a_file_of_no_bytes_beside_good_ones_refuses_the_set(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(every(1))
    (tmp_path / "b.toml").write_bytes(b"")
    with pytest.raises(LostSchedules, match=r"b\.toml: has no bytes"):
        load([tmp_path], app)
    with pytest.raises(LostSchedules, match="cannot be read"):
        load([tmp_path / "c.toml"], app)


def test_the_last_good_set_is_the_same_set(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        every(1) + every(3600, "t", 'timezone = "Europe/Berlin"\ncatchup = "all"\njitter = "5s"\nlate_after = "2h"\n')
    )
    found = load([tmp_path], app)
    kept = last_good({name: declaration(one) for name, one in found.items()}, app)
    assert kept.digest == found.digest
    with pytest.raises(BadDeclaration, match="cannot go on"):
        last_good({"s": '{"name": "s", "task": "nobody.knows", "every": 5}'}, app)


# -- two apps ---------------------------------------------------------------------------------------------------------


def test_the_schedules_of_another_app_are_never_ended(ledger: Moved) -> None:
    shop = Live(ledger.store)
    assert shop.adopt("d1", "", fresh=True, app="shop").word == "taken"
    shop.publish("d1", "files", [("tick", "{}", "")])
    for fresh in (True, False):
        found = shop.adopt("d2", "", fresh=fresh, app="mail")
        assert (found.word, found.app, found.count, found.digest) == ("foreign", "shop", 1, "d1")
    assert shop.adopt("d2", "r2", fresh=True, app="mail").word == "foreign", "a new release of it neither"
    with pytest.raises(OtherApp, match="is that of the app 'shop', so the app 'mail' is refused"):
        shop.refuse_other("mail")
    shop.refuse_other("shop")
    assert shop.adopt("d1", "", fresh=False, app="shop").word == "current"
    assert shop.adopt("d3", "r1", fresh=True, app="shop").word == "taken", "its own deploys go on"
    assert [item["kind"] for item in alerts(ledger)] == ["two_apps"], "told once"


def test_an_app_that_has_nothing_here_any_more_stands_in_nobodys_way(ledger: Moved) -> None:
    shop = Live(ledger.store)
    shop.adopt("d1", "r1", fresh=True, app="shop")
    assert shop.adopt("d2", "r1", fresh=True, app="mail").word == "foreign", "it is about to write what it has"
    ledger.go(61)
    assert shop.adopt("d2", "r1", fresh=True, app="mail").word == "taken"


def test_a_ledger_of_an_earlier_version_does_not_say_whose_it_is(ledger: Moved) -> None:
    shop = Live(ledger.store)
    shop.adopt("d1", "", fresh=True)
    ledger.store.client.hdel(ledger.store.key("generation"), "app")
    shop.publish("d1", "files", [("tick", "{}", "")])
    assert shop.adopt("d1", "", fresh=False, app="shop").word == "current"
    assert shop.adopt("d2", "", fresh=True, app="mail").word == "foreign"


def test_an_app_takes_the_place_of_another_on_purpose(ledger: Moved) -> None:
    shop = Live(ledger.store)
    shop.adopt("d1", "r1", fresh=True, app="shop")
    shop.publish("d1", "files", [("tick", "{}", "")])
    assert shop.take_over("mail") == "shop"
    assert shop.current() is None
    assert shop.adopt("d1", "r1", fresh=True, app="shop").word == "foreign"
    assert shop.adopt("d2", "r1", fresh=True, app="mail").word == "taken"
    assert shop.take_over("mail") == "mail"
    assert shop.adopt("d2", "r1", fresh=True, app="mail").word == "current"


def test_apps_are_told_apart_by_a_name_that_stays() -> None:
    from celery import Celery

    from celery_anp import create_app

    assert app.identity == "anp:worker"
    assert create_app().identity == "anp"
    app.set_current()
    assert guard(Celery("shop", set_as_current=False)).identity == "shop"
    assert guard(Celery(set_as_current=False)).identity == "__main__"


@pytest.fixture
def two(stack: Stack) -> Stack:
    """Two projects of other teams."""
    for name in ("shop", "mail"):
        (stack.folder / f"{name}.py").write_text(SHOP.format(name=name, url=stack.redis_url))
    stack.settings["tasks"] = ""
    stack.settings["schedules"] = ""
    return stack


def refused(process: Process) -> str:
    assert process.process.wait(30) == 1
    return process.said()


def test_a_second_app_is_refused_by_name_and_ends_nobodys_schedules(two: Stack, redis: Redis) -> None:
    start = ("beat", "-S", "celery_anp.beat:Scheduler", "-l", "INFO")
    shop = two.start("shop", "-A", "shop", *start, app="shop", schedules="")
    eventually(lambda: live(two) == {"shop-tick"}, 30, "the first app's schedules")
    beat = two.start("mail", "-A", "mail", *start, app="mail", schedules="")
    worker = two.start("mail worker", "-A", "mail", "worker", "-P", "solo", app="mail", schedules="")
    for text in (refused(beat), refused(worker)):
        assert "is that of the app 'shop', so the app 'mail' is refused" in text
        assert "ANP_PREFIX" in text
        assert "Traceback" not in text
    assert live(two) == {"shop-tick"}
    count = len(ticks(two, "shop-tick"))
    eventually(lambda: len(ticks(two, "shop-tick")) > count, 10, "its ticks to go on")
    own = two.start("own mail", "-A", "mail", *start, app="mail", schedules="", prefix="mail")
    eventually(lambda: redis.hlen("mail:ledger:live") == 1, 30, "the second app with a prefix of its own")
    own.stop()
    done = two.anp("-A", "mail", "schedules", "reload", "--take-over")
    assert (done.returncode, done.stdout) == (
        0, "from now on the schedules are those of mail; those of shop end with its first beat\n",
    )  # fmt: skip
    said(shop, "beat is retired: it plans nothing: the schedules of the app 'mail'")
    two.start("mail again", "-A", "mail", *start, app="mail", schedules="")
    eventually(lambda: live(two) == {"mail-tick"}, 30, "the second app's schedules")
