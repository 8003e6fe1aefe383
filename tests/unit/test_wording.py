"""What is told of a value that may refuse to be told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import ReadOnlyError, ResponseError, WatchError

from celery_anp.canvas.links import passes
from celery_anp.errors import BadRequest, LedgerFull, LedgerUnavailable
from celery_anp.redaction import hide
from celery_anp.wording import cut, end_of, name_of, shown, speaks, trace, words
from tests.faults.oddities import KINDS, Text, error_of

texts = st.text(st.characters(exclude_categories=()))


@given(texts, st.integers(0, 40))
def test_a_text_is_cut_to_its_bytes_in_json_and_has_no_half_letters(text: str, most: int) -> None:
    for kept in (cut(text, most), end_of(text, most)):
        assert len(json.dumps(kept)) - 2 <= most
        kept.encode()


@given(texts)
def test_a_text_that_fits_is_kept_and_half_letters_are_written_out(text: str) -> None:
    written = text.encode("utf-8", "backslashreplace").decode()
    most = 12 * len(written)
    assert cut(written, most) == end_of(written, most) == cut(text, most) == written


@pytest.mark.parametrize("kind", KINDS)
def test_any_error_is_told(kind: str) -> None:
    error = error_of({"kind": kind, "text": "caf\udce9"})
    for told in (words(error, 200), shown(error, 200), trace(error, 200), name_of(error)):
        assert type(told) is str
        assert len(json.dumps(told)) - 2 <= 200
    assert speaks(error) == (kind not in ("Silent", "Unseen", "Numb", "Neither"))


def test_a_text_of_a_class_of_its_own_becomes_a_plain_one() -> None:
    assert type(words(Text("caf\udce9"), 100)) is str
    assert words(Text("caf\udce9"), 100) == "caf\\udce9"
    assert "cannot be shown" in shown(Text("x"), 100)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (LedgerUnavailable("away"), True),
        (LedgerFull("full"), True),
        (OperationalError("away"), True),
        (LostConnectionError("away"), True),
        (ReadOnlyError("READONLY You can't write"), True),
        (ResponseError("OOM command not allowed"), True),
        (WatchError("changed"), True),
        (BadRequest("what cjson refuses"), False),
        (ResponseError("WRONGTYPE Operation"), False),
        (ValueError("no"), False),
    ],
)
def test_a_redis_that_says_bad_request_does_not_pass(error: Exception, passing: bool) -> None:
    assert passes(error) is passing


def test_secrets_are_taken_out_of_errors_in_groups_and_of_those_that_keep_no_arguments() -> None:
    class Fixed(ValueError):
        @property
        def args(self) -> Any:  # type: ignore[override]
            raise RuntimeError("it keeps none")

    inner = ValueError("hunter2 was refused")
    hide(ExceptionGroup("all", [Fixed(), ExceptionGroup("some", [inner])]), ["hunter2"])
    assert inner.args == ("(secret) was refused",)
