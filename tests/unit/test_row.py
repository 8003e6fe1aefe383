"""The row has one schema, and the ledger one list of keys: the scripts and the code use nothing else, and all of it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from celery_anp.reliability.keys import FOREIGN, KEYS
from celery_anp.reliability.row import FIELDS, ROW, SPEC, Field, read
from tests.lua import python, scripts
from tests.lua.python import Code, code, look, planned
from tests.lua.tree import Text
from tests.lua.used import fields_of, keys_of, written_by
from tests.lua.values import Unknown

Users = dict[str, set[str]]


def of_scripts() -> tuple[Users, Users]:
    """By field the files of the scripts that read it, and that write it."""
    readers, writers = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for part in scripts.all_parts():
        found = fields_of(part)
        for name in found.read:
            readers[name].add(part.name)
        for name in found.written:
            writers[name].add(part.name)
    return readers, writers


def test_each_field_is_written_by_whom_the_table_says() -> None:
    _, written = of_scripts()
    for name in planned():
        written.setdefault(name, set()).add(SPEC)
    assert written == {field.name: set(field.writers) for field in FIELDS}


def test_each_field_that_is_read_is_in_the_table_and_each_of_the_table_is_read() -> None:
    readers, _ = of_scripts()
    assert {*readers, *code().read} == ROW.keys()


def test_the_fields_that_scripts_fetch_together_are_fields_that_they_read() -> None:
    base = next(part for part in scripts.all_parts() if part.name == "base")
    common = next(variable for variable in base.declared if variable.name == "COMMON")
    names = {node.value for value in common.values for node in value.walk() if isinstance(node, Text)}
    readers, writers = of_scripts()
    assert names <= {*readers, *writers}
    assert len(names) > 10


@pytest.mark.parametrize(
    ("line", "read_", "written"),
    [
        ("return get(ARGV[1], 'nobody')", {"nobody"}, set()),
        ("return number(ARGV[1], ARGV[2] == '' and 'one' or 'other')", {"one", "other"}, set()),
        ("set(ARGV[1], 'one', 'value', 'other', 1)", set(), {"one", "other"}),
        ("unset(ARGV[1], 'one', 'other')", set(), {"one", "other"}),
        ("local row = {}\nrow.one = row.other", {"other"}, {"one"}),
        ("local field = ARGV[2] and 'one' or 'other'\nset(ARGV[1], field, 1)", set(), {"one", "other"}),
    ],
)
def test_a_field_is_found_in_a_script_however_it_is_named(line: str, read_: set[str], written: set[str]) -> None:
    found = fields_of(scripts.parse("planted", line, {}))
    assert (found.read, found.written) == (read_, written)


def test_a_field_that_the_text_does_not_name_is_refused() -> None:
    with pytest.raises(Unknown):
        fields_of(scripts.parse("planted", "return get(ARGV[1], ARGV[2])", {}))


@pytest.mark.parametrize(
    "line",
    [
        'read("hget", ledger.row_key(run_id), "nobody")',
        'ask(store.read, "hmget", store.key(f"run:{run_id}"), ["nobody"])',
        'pipe.hget(self.row_key(run_id), "nobody")',
        'row.get("nobody")',
        'row["nobody"]',
        'of("nobody")',
    ],
)
def test_a_field_is_found_in_the_code_however_it_is_asked_for(line: str) -> None:
    found = Code()
    look(found, f"def planted(row):\n    {line}\n", in_reliability=True)
    assert found.read.keys() == {"nobody"}


def test_each_key_is_named_and_written_by_whom_the_list_says() -> None:
    known = {key.short: key for key in (*KEYS, *FOREIGN)}
    named, written = set[str](), defaultdict[str, set[str]](set)
    for part in scripts.all_parts():
        named |= keys_of(part)
        for name in written_by(part):
            written[name].add(part.name)
    found = code()
    for name, owners in found.written.items():
        written[name] |= owners
    for name in found.named:
        named.add(name if name in known else f"{name.partition(':')[0]}:<")  # one of a family, such as `outbox:alert`
    assert named == known.keys()
    assert written == {name: set(key.writers) for name, key in known.items()}


def test_a_key_is_found_in_the_code_with_who_writes_it() -> None:
    found = Code()
    text = 'class C:\n    def f(self):\n        self.store.read("set", self.store.key("nobody"), 1)\n'
    python.look(found, text, in_reliability=False)
    assert (found.named, found.written) == ({"nobody": {"C.f"}}, {"nobody": {"C.f"}})


def test_names_stand_once() -> None:
    assert len(ROW) == len(FIELDS)
    assert len({key.name for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "a", "a"),
        ("number", "1000000", 1000000),
        ("time", "1796000000000", 1796000000000),
        ("flag", "1", True),
        ("flag", "0", False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", "null", None),
    ],
)
def test_a_field_is_read_as_its_type_says(kind: str, text: str, value: object) -> None:
    field = Field("f", kind, "", ())  # type: ignore[arg-type]
    assert field.read(text) == value
    assert field.read(None) is None
    assert field.read("") is None, "a field that was emptied is as one that is not there"


def test_a_field_that_nobody_declared_cannot_be_read() -> None:
    assert read({}, "attempts") == 0
    with pytest.raises(KeyError):
        read({"nobody": "1"}, "nobody")
