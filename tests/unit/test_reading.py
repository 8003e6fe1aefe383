"""A row that nobody understands is shown as far as it is understood, and nobody stops at it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_anp.cli.status.answers import are_runs_failing, did_the_release_change_anything, is_it_slow
from celery_anp.cli.story import complaint, outcome, tell
from celery_anp.reliability.reading import from_row
from celery_anp.reliability.row import FIELDS

GOOD = {
    "task": "t", "state": "failed", "reason": "why", "created": "1700000000000", "wanted": "1700000000000",
    "began": "1700000001000", "started": "1700000001000", "finished": "1700000002000", "runtime": "1000",
    "attempts": "1", "error": json.dumps({"type": "ValueError", "message": "no"}), "result": "[1]",
    "message": json.dumps({"headers": {}, "body": json.dumps([[], {"site": "a"}, {}])}),
    "history": "1700000000000|queued|running|n1|begins\n",
}  # fmt: skip
DAMAGED = [
    "x", "9e99", "1e400", "-1", "9" * 19, "9" * 5000, "253402300800000", "{", "[1]", "null", "NaN", '{"a": 1}', '"x"',
    "1|2|3|4|5", "x|a|b|c|d\n", "\ufffd", "0", "true",
]  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in FIELDS])
def test_no_field_of_a_row_stops_who_reads_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in DAMAGED:
        run = from_row("r", {**GOOD, name: text}, ["{", "[]", '{"name": "u", "data": 5, "attempt": 1}'])
        tell(run)
        json.dumps(run.public(), default=str)
        assert isinstance(outcome(run) + complaint(run), str)
        for answer in (is_it_slow([run], {}), are_runs_failing([run]), did_the_release_change_anything([run])):
            assert answer.said
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"due": "253402300800000"}, ("due",)), ({"created": "x", "finished": "1e9"}, ("created", "finished")),
        ({"state": "dreaming"}, ("state",)), ({"error": "{"}, ("error",)), ({"error": "[]"}, ("error",)),
        ({"message": "{"}, ("message",)), ({"message": '{"body": "5"}'}, ("message",)),
        ({"history": "x\n" + GOOD["history"]}, ("history",)), ({"attempts": "many"}, ("attempts",)), ({}, ()),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named_and_the_rest_is_there(damage: dict[str, str], named: tuple[str, ...]) -> None:
    run = from_row("r", {**GOOD, **damage})
    assert (run.unreadable, run.task, run.reason) == (named, "t", "why")
    assert run.public()["unreadable"] == list(named)
    assert len(run.history) == 1


def test_an_undo_entry_that_is_not_understood_keeps_its_place_and_is_still_to_be_undone() -> None:
    good: Any = {"name": "u", "data": {}, "attempt": 1, "outcome": "undone"}
    run = from_row("r", GOOD, ["{", json.dumps(good)])
    assert [(entry.name, entry.outcome) for entry in run.undo] == [("unreadable", None), ("u", "undone")]
    assert run.unreadable == ("undo",)
