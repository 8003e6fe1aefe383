"""What cannot stand in a row is refused at the call, and nothing is planned; what can is read by everybody."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from redis import Redis

from celery_anp import bounds
from celery_anp.app import guard
from celery_anp.errors import BadDeclaration, BadInput, BadUsage
from celery_anp.reliability.overrides import Backfill, Overrides
from celery_anp.reliability.retry import Retries
from celery_anp.settings import environment
from tests.support import probe as tasks
from tests.support.moved import Moved, new
from worker.app import app

NOW = datetime.now(UTC)
#: Without a zone, which Celery takes for UTC.
FIRST, LAST, EPOCH, LATER = (
    datetime.fromisoformat(text) for text in ("0001-01-01", "9999-12-31T23:59:59.999999", "1970-01-01", "2030-01-01")
)
WEST = timezone(timedelta(hours=-12))
REFUSED: dict[str, list[Any]] = {
    "countdown": [
        "2", True, math.nan, math.inf, -math.inf, 10**12, -(10**12), 10**400, Decimal(2), timedelta(seconds=2), [], NOW,
    ],
    "eta": [
        LAST, FIRST, LAST.replace(tzinfo=WEST), FIRST.replace(tzinfo=UTC), "soon", "", 5, 1.5, True, date(2030, 1, 1),
        "9999-12-31T23:59:59Z", NOW + timedelta(days=36_600), NOW - timedelta(days=36_600),
    ],
    "expires": ["soon", True, math.nan, math.inf, 10**12, Decimal(5), LAST, [], timedelta(hours=1)],
    "priority": ["high", 2.5, True, -1, 256, math.nan, Decimal(3)],
    "task_id": ["", 5, "a\nb", "caf\udce9", "x" * 251, b"id", True],
    "time_limit": ["9", -1, math.nan, math.inf, True],
    "soft_time_limit": ["9", -1, math.nan, math.inf, True],
    "retries": ["1", -1, 1.0, True, 10**9],
    "key": ["", 5, True, "a|b", "a\nb", "caf\udce9", "x" * 201, b"key", ["a"]],
    "unique_for": ["5", 0, -1, True, math.nan, math.inf, 10**12, Decimal(5), timedelta(days=400)],
    "queue": ["", 5, "a\nb", "caf\udce9", "x" * 251],
    "headers": ["x", 5, ["a"], {1: "a"}, {"a": object()}, {"a": {1, 2}}],
}  # fmt: skip
OPTIONS = [{name: value} for name, values in REFUSED.items() for value in values]


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("options", OPTIONS)
def test_what_cannot_stand_in_a_row_is_refused_and_nothing_is_planned(options: dict[str, Any]) -> None:
    with pytest.raises(BadUsage) as refused:
        tasks.add.apply_async((1, 2), **options)
    assert (refused.value.retry_safe, bool(refused.value.given)) == (False, True)
    assert app.ledger.runs() == []
    assert app.ledger.store.client.keys("*") == []


GOOD: list[dict[str, Any]] = [
    {"countdown": 0}, {"countdown": 1.5}, {"countdown": -5}, {"countdown": 3 * 10**9}, {"countdown": None},
    {"eta": NOW + timedelta(days=36_000)}, {"eta": LATER}, {"eta": "2030-01-01T00:00:00+02:00"},
    {"eta": EPOCH}, {"expires": 60}, {"expires": NOW + timedelta(hours=1)}, {"priority": 0},
    {"priority": 255}, {"task_id": UUID(int=5)}, {"task_id": "caf\u00e9 #1|2"},
    {"time_limit": 5.5, "soft_time_limit": 2},
    {"retries": 0}, {"key": "caf\u00e9"}, {"unique_for": timedelta(hours=1)}, {"headers": {"tenant": "a"}},
    {"queue": "default"}, {"time_limit": None, "priority": None},
]  # fmt: skip


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("options", GOOD)
def test_what_can_is_planned_and_read(options: dict[str, Any]) -> None:
    run_id = tasks.add.apply_async((1, 2), **options).id
    run = app.ledger.run(run_id)
    assert (run.unreadable, run.error) == ((), None)
    assert run.state == ("queued" if run.due_at is None else "delayed")


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("eta", "due"),
    [(LATER, "2030-01-01T00:00:00"), ("2030-01-01T00:00:00+02:00", "2029-12-31T22:00:00"), (EPOCH, None)],
)
def test_a_time_without_a_zone_is_utc_and_one_that_has_passed_is_now(eta: Any, due: str | None) -> None:
    run = app.ledger.run(tasks.add.apply_async((1, 2), eta=eta).id)
    assert run.due_at == (due and datetime.fromisoformat(f"{due}+00:00"))


@pytest.mark.usefixtures("redis")
def test_a_deadline_before_the_epoch_is_one_that_has_passed() -> None:
    assert app.ledger.run(tasks.add.apply_async((1, 2), expires=EPOCH).id).state == "expired"


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("given", [{"raw": object()}, {"raw": {1, 2}}, {"raw": {"a": {"b": object()}}}])
def test_an_input_that_no_message_can_hold_is_refused(given: dict[str, Any]) -> None:
    theirs = Celery("theirs", broker=app.conf.broker_url, backend=app.conf.result_backend, set_as_current=False)
    guard(theirs)

    @theirs.task(name="loose", shared=False)
    def loose(raw):  # type: ignore[no-untyped-def]
        return raw

    with pytest.raises(BadInput, match="cannot be sent"):
        loose.delay(**given)
    assert app.ledger.runs() == []


@pytest.mark.parametrize("value", ["2", True, math.nan, math.inf, 10**12, Decimal(2)])
def test_a_retry_asks_for_a_time_that_can_be_kept(value: Any) -> None:
    from celery_anp.sending.call import seconds_until

    with pytest.raises(BadUsage, match="countdown cannot be used"):
        seconds_until(value, None)


@pytest.mark.parametrize(
    "options",
    [
        {"time_limit": "10s"}, {"soft_time_limit": -1}, {"time_limit": math.nan}, {"default_retry_delay": "3"},
        {"priority": "high"}, {"lock": 5}, {"owner": ["a"]}, {"retries": 3}, {"undo_limit": "1k"},
        {"name": "a\nb"}, {"name": "x" * 251},
    ],
)  # fmt: skip
def test_a_task_declares_only_what_can_be_kept(options: dict[str, Any]) -> None:
    theirs = guard(Celery("theirs", set_as_current=False))

    def body() -> None:
        """Does nothing."""

    with pytest.raises(BadUsage) as refused:
        theirs.task(**{"name": "t", "lazy": False, "shared": False, **options})(body)
    assert next(reversed(options)) in str(refused.value) or "name of a task" in str(refused.value)


@pytest.mark.parametrize(
    "numbers",
    [
        {"max": "3"}, {"max": True}, {"max": 1.5}, {"first": "2"}, {"first": math.nan}, {"factor": math.nan},
        {"factor": math.inf}, {"ceiling": math.inf}, {"ceiling": 10**10}, {"jitter": math.nan}, {"first": Decimal(1)},
    ],
)  # fmt: skip
def test_retries_are_finite_numbers(numbers: dict[str, Any]) -> None:
    with pytest.raises(BadDeclaration, match="Retries: "):
        Retries(**numbers)


# -- operators ---------------------------------------------------------------------------------------------------------

UNSAID = ["caf\udce9", "x" * 1001, "a\x1b[31mb", "\x00", 5]


@pytest.mark.parametrize("words", UNSAID, ids=ascii)
def test_what_an_operator_says_can_be_kept_and_shown(ledger: Moved, words: Any) -> None:
    ledger.plan([new("a")])
    overrides, before = Overrides(ledger.store), ledger.store.client.dbsize()
    wanted = Backfill("b", 1, 2, 60, "ann")
    for by, note in (("ann", words), (words, "")):
        for ask in (
            lambda by=by, note=note: ledger.operate("a", "cancel", by, note),
            lambda by=by, note=note: overrides.apply("s", "pause", by, note, 60),
            lambda by=by, note=note: overrides.order("s", Backfill(**{**vars_of(wanted), "by": by}), note),
            lambda by=by, note=note: overrides.stop("s", by, note),
        ):
            with pytest.raises(BadUsage):
                ask()
    assert (ledger.run("a").state, ledger.store.client.dbsize()) == ("queued", before)
    ledger.operate("a", "cancel", "ann", "café\nover two lines")
    assert "café" in ledger.run("a").reason


def vars_of(backfill: Backfill) -> dict[str, Any]:
    return {"id": backfill.id, "reached": backfill.reached, "to": backfill.to, "rate": backfill.rate}


@pytest.mark.parametrize("span", [math.nan, math.inf, -1, 0, 10**12, True, "60"])
def test_a_pause_lasts_for_a_time_that_can_be_kept(ledger: Moved, span: Any) -> None:
    with pytest.raises(BadUsage, match="The length of a pause"):
        Overrides(ledger.store).apply("s", "pause", "ann", "", span)
    assert Overrides(ledger.store).all() == {}


LATIN = b"caf\xe9"
COMMANDS: list[list[str | bytes]] = [
    ["schedules", "pause", "s", "--note", LATIN], ["schedules", "pause", "s", "--by", LATIN],
    ["schedules", "pause", LATIN],
    ["schedules", "pause", "s", b"--note=" + LATIN], ["schedules", "backfill", "s", "--from", LATIN],
    ["runs", "cancel", LATIN], ["runs", "list", "--task", LATIN], ["tasks", "run", "probe", b"a=" + LATIN],
    ["tasks", "run", LATIN], ["-A", LATIN, "status"], ["status", "--window", LATIN], ["health", LATIN],
    ["schedules", "import-cron", LATIN],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=str)
def test_words_that_are_no_text_are_refused_wherever_they_stand(words: list[str | bytes]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery_anp", *words], capture_output=True, text=True, timeout=60, check=False,
        env={**environment(), "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "text in UTF-8" in done.stderr
    assert r"caf\xe9" in done.stderr


def test_a_setting_that_is_no_text_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery_anp", "runs", "list"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environb, b"ANP_RELEASE": LATIN},
    )  # fmt: skip
    assert (done.returncode, "ANP_RELEASE cannot be used" in done.stderr) == (2, True)


@pytest.mark.parametrize("words", [("--for", "99999999d"), ("--for", "-1h"), ("--for", "nan"), ("--for", "1e9")])
def test_a_pause_of_the_command_line_is_bounded(redis: Redis, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery_anp", "schedules", "pause", "s", *words], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "--for cannot be read" in done.stderr, redis.keys("*")) == (2, True, [])


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "9999-12-31T23:59:59-12:00"])
def test_a_time_of_the_command_line_is_within_a_century(text: str) -> None:
    with pytest.raises(BadUsage, match="within a century of now"):
        bounds.moment(text, "--from")


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**12, True])
def test_a_beat_entry_says_only_times_that_can_be_kept(value: Any) -> None:
    from celery_anp.beat.problem import Problem
    from celery_anp.beat.reading import takeover

    theirs = Celery("theirs", set_as_current=False)
    theirs.conf.beat_schedule = {
        "every": {"task": "t", "schedule": value}, "late": {"task": "t", "schedule": 5, "options": {"expires": value}},
    }  # fmt: skip
    assert all(isinstance(one, Problem) for one in takeover.entries(theirs)), json.dumps(repr(value))
