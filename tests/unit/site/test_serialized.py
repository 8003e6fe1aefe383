"""PHP's serialised format: what PHP writes is read back; what is cut off, changed or no plain data is refused."""

from __future__ import annotations

import math
import subprocess
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.site.wordpress.serialized import NotSerialized, loads

# PHP turns a key such as "5" into 5, so a string key here is no number.
keys = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8).map(lambda text: f"k{text}".encode())
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text().map(str.encode)
values = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=5), max_leaves=20)


def dumps(value: Any) -> bytes:
    """The format, written by its description."""
    if value is None:
        return b"N;"
    if isinstance(value, bool):
        return b"b:%d;" % value
    if isinstance(value, int):
        return b"i:%d;" % value
    if isinstance(value, float):
        named = {"inf": "INF", "-inf": "-INF", "nan": "NAN"}
        return f"d:{named.get(repr(value), repr(value))};".encode()
    if isinstance(value, bytes):
        return b's:%d:"%b";' % (len(value), value)
    inner = b"".join(dumps(key) + dumps(entry) for key, entry in value.items())
    return b"a:%d:{%b}" % (len(value), inner)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


@given(values)
@example({b"emoji": "\N{GRINNING FACE}".encode(), 0: {b"version": 2}})
def test_what_is_written_is_read_back(value: Any) -> None:
    assert same(loads(dumps(value)), value)


@given(values, st.data())
def test_a_text_that_is_cut_off_or_goes_on_is_refused(value: Any, data: st.DataObject) -> None:
    text = dumps(value)
    with pytest.raises(NotSerialized, match="at byte"):
        loads(text[: data.draw(st.integers(0, len(text) - 1))])
    with pytest.raises(NotSerialized, match="the end of the text"):
        loads(text + b"N;")


@given(st.binary(max_size=60))
@example(b"a:99999999999999999999:{}")
@example(b"a:1:{" * 5000)
@example(b"i:" + b"9" * 5000 + b";")
def test_whatever_comes_is_read_or_refused(text: bytes) -> None:
    with suppress(NotSerialized):
        loads(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'O:8:"stdClass":0:{}', "an object"),
        (b'a:1:{i:0;O:8:"stdClass":0:{}}', "broken at byte 9.*an object"),
        (b'C:1:"X":0:{}', "format of its own"),
        (b'E:3:"X:Y";', "enumeration"),
        (b"a:2:{i:0;i:1;i:1;R:2;}", "a reference"),
        (b"a:2:{i:0;i:1;i:0;i:2;}", "2 different keys"),
        (b's:4:"abc";', "broken at byte"),
        (b"", "the end of the text"),
        (b"b:2;", "0 or 1"),
        (b"a:1:{d:1;i:1;}", "whole number or a string"),
    ],
)
def test_what_is_no_plain_data_is_refused_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(NotSerialized, match=said):
        loads(text)


@settings(max_examples=25)
@given(value=values)
def test_php_reads_and_writes_the_same(php: str, value: Any) -> None:
    code = "echo serialize(unserialize(stream_get_contents(STDIN)));"
    ran = subprocess.run(
        [php, "-d", "serialize_precision=17", "-r", code], input=dumps(value), capture_output=True, check=True
    )
    assert same(loads(ran.stdout), value)
