"""The scripts' texts: no global, no unread name, and each opens with a header that agrees with it."""

from __future__ import annotations

import pytest

from celery_anp.reliability import keyspace
from tests.lua import findings, scripts
from tests.lua.findings import in_one
from tests.lua.parser import Parser
from tests.lua.words import NotUnderstood


def planted(name: str, old: str, new: str) -> list[str]:
    """What is found in a script in which something was changed."""
    text = keyspace.part_text(name)
    assert old in text
    before = scripts.before(name)
    return in_one(scripts.parse(name, text.replace(old, new, 1), before))


def test_nothing_is_found_in_the_scripts() -> None:
    assert findings.findings() == []


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("note_it = 1\nreturn rung()", "note_it is set and not declared: a global"),
        ("function note_it() end\nreturn rung()", "note_it is set and not declared: a global"),
        ("table = {}\nreturn rung()", "table is set and not declared: a global"),
        ("return rungs()", "rungs is declared nowhere"),
        ("if false then nobody() end\nreturn rung()", "nobody is declared nowhere"),
        ("local own = own\nreturn rung(own)", "own is declared nowhere"),
        ("do local inner = 1; int(inner) end\nreturn rung(inner)", "inner is declared nowhere"),
        ("for i = 1, 2 do int(i) end\nreturn rung(i)", "i is declared nowhere"),
        ("return rung(function(a) return a, b end)", "b is declared nowhere"),
        ("plan({})\nreturn rung()", "plan is declared nowhere"),
        ("local never = 1\nreturn rung()", "nothing reads never"),
        ("redis.call('GET', P .. 'pulse')\nreturn rung()", "the key pulse is not in its header"),
        ("redis.call('GET', P .. 'undo:' .. node)\nreturn rung()", "the key undo:<id> is not in its header"),
        ("redis.call('GET', P .. 'nobody')\nreturn rung()", "the key nobody is not in its header"),
        ("local key = P .. 'pulse'\nredis.call('GET', key)\nreturn rung()", "the key pulse is not in its header"),
        ("set(node, 'state', '')\nreturn rung()", "the key run:<id> is not in its header"),
        ("return rung() --" + " " * 120, "more than 120"),
    ],
)
def test_a_slip_is_found(new: str, told: str) -> None:
    found = planted("goodbye", "return rung()", new)
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("-- Keys:\n", "-- Keys:\n--   pulse           string  planted\n", "has the key pulse, which its text has not"),
        ("--   running:<node>  hash", "--   running:<node>  zset", "running:<node> (zset) is not in keys.py"),
        ("--   running:<node>  hash    ", "--   running:<node>  ", "is no key with its type and meaning"),
        ("-- Answer:", "-- Answers:", "is no part of a header"),
        ("-- Arguments: node, reason\n", "", "instead of ['Answer', 'Arguments']"),
    ],
)
def test_a_header_that_differs_is_found(old: str, new: str, told: str) -> None:
    assert any(told in line for line in planted("goodbye", old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("sending", "trim(asked)", "forget(asked)", "the used name forget is not in its header"),
        ("sending", "trim(asked)", "forget(asked)", "its header has the used name trim, which its text has not"),
        (
            "sending",
            "Provides: place, rung",
            "Provides: place, rung, send",
            "has the provided name send, which its text has not",
        ),
        ("sending", "Provides: place, rung", "Provides: place", "the provided name rung is not in its header"),
        ("base", "local function int(", "local function spare() end\nlocal function int(", "nothing reads spare"),
    ],
)
def test_a_shared_file_says_what_it_uses_and_lends(
    monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str, told: str
) -> None:
    text = keyspace.part_text
    assert old in text(name)
    monkeypatch.setattr(
        keyspace, "part_text", lambda part: text(part).replace(old, new) if part == name else text(part)
    )
    scripts.forget()
    try:
        assert any(told in line for line in findings.unlike_what_it_lends(scripts.all_parts()))
    finally:
        monkeypatch.undo()
        scripts.forget()


def test_lua_that_is_not_understood_is_refused_and_not_passed_over() -> None:
    for text in ("x = [[long]]", "--[[ long ]]", "goto there", "local = 1", "if a then"):
        with pytest.raises(NotUnderstood):
            Parser(text, "planted", {}).read()


def test_each_script_is_behind_the_shared_files_that_are_there() -> None:
    files = list(scripts.FOLDER.rglob("*.lua"))
    on_disk = {path.stem for path in files}
    assert len(on_disk) == len(files), "the store finds a file by its name alone"
    assert {path.stem for path in files if path.parent.name == "lib"} == scripts.shared()
    assert scripts.shared() <= on_disk
    assert on_disk - scripts.shared() == set(scripts.names()) >= keyspace.PLANNING


def test_the_buckets_of_lateness_are_those_of_the_metrics() -> None:
    (text,) = [line for line in keyspace.script_text("begin").split("\n") if line.startswith("local LATE = ")]
    assert [int(word) for word in text.partition("{")[2].rstrip(" }").split(",")] == list(keyspace.LATE)
