"""Equal inputs have one form: one lock and one digest, whichever process made them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, PlainSerializer

from celery_anp.contract import canonical
from celery_anp.contract.signature import Contract
from celery_anp.errors import BadInput
from celery_anp.settings import environment


def test_processes_with_other_hash_seeds_and_orders_agree_on_every_form() -> None:
    found = {}
    for seed in range(6):
        command = [sys.executable, "-m", "tests.support.forms", str(seed)]
        done = subprocess.run(
            command, env={**environment(), "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        )
        found[seed] = json.loads(done.stdout)
    assert all(forms == found[0] for forms in found.values())
    assert found[0]["sites"] == "l:['berlin', 'cairo', 'lima', 'oslo', 'quito', 'rome', 'tokyo']"
    assert (found[0]["amount"], found[0]["share"], found[0]["when"]) == ("l:1.5", "l:2", "l:2026-01-01T12:00:00Z")


def amounts(amount: Decimal) -> None:
    """Takes a number that is written in many ways."""


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1.5", "1.50", "15E-1", "0.15E1"], "1.5"), (["100", "1E+2", "100.00"], "100"),
        (["0", "-0", "0.00", "0E5"], "0"), (["1E+90"], "1E+90"),
        (["-2.50"], "-2.5"), (["0.00001"], "0.00001"),
        (["12345678901234567890123456789012345.10"], "12345678901234567890123456789012345.1"),
    ],
)  # fmt: skip
def test_a_decimal_has_one_form_and_is_not_rounded(texts: list[str], form: str) -> None:
    contract = Contract("t", amounts)
    checked = [contract.check((), {"amount": text}) for text in texts]
    assert {one.fields["amount"] for one in checked} == {form}
    assert len({one.digest() for one in checked}) == 1


class Key(BaseModel):
    """A model with an alias-less set."""

    names: set[str]


def month(when: Annotated[datetime, PlainSerializer(lambda day: f"{day:%Y-%m}")], key: Key) -> None:
    """Takes a day and means its month."""


def test_a_field_is_what_its_own_serializer_makes_of_it() -> None:
    contract = Contract("t", month)
    days = [
        contract.check((), {"when": datetime(2026, 1, day, tzinfo=UTC), "key": {"names": ["b", "a"]}}) for day in (1, 9)
    ]
    assert [contract.fill("{when} {key[names][0]}", one.fields) for one in days] == ["2026-01 a"] * 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}), ({1, 2, 3}, {3, 2, 1}), ([{"b", "a"}], [{"a", "b"}]),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))),
    ],
)  # fmt: skip
def test_what_is_equal_has_one_form(one: Any, other: Any) -> None:
    assert canonical.text(canonical.of(one)) == canonical.text(canonical.of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), ("1", 1), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), (1.5, 1), (None, ""), (Decimal("1.5"), "1.50")],
)
def test_what_is_not_equal_has_not(one: Any, other: Any) -> None:
    assert canonical.text(canonical.of(one)) != canonical.text(canonical.of(other))


@pytest.mark.parametrize("text", ["x" * 5000, "a\nb", "caf\udce9", "\x1b[31m"])
def test_a_lock_is_a_name_that_can_be_written_anywhere(text: str) -> None:
    name = canonical.lock_name(f"l:{text}")
    assert (name.isprintable(), len(name) <= canonical.LOCK) == (True, True)
    assert name != canonical.lock_name(f"l:{text}x")


def shelf(book: Mapping[str, Any]) -> None:
    """Takes a part of which its lock is made."""


@pytest.mark.parametrize("template", ["l:{book[title]}", "l:{book.title}", "l:{book[name]:d}"])
def test_a_lock_that_cannot_be_made_of_an_input_is_refused(template: str) -> None:
    contract = Contract("t", shelf)
    with pytest.raises(BadInput, match="The lock of task 't' cannot be made of this input"):
        contract.fill(template, contract.check((), {"book": {"name": "x"}}).fields)


def test_an_input_that_holds_itself_is_refused() -> None:
    def loose(*rest: Any) -> None:
        """Takes anything."""

    held: list[Any] = []
    held.append(held)
    with pytest.raises(BadInput, match="cannot be sent"):
        Contract("t", loose).check((held,), {})


def test_the_same_input_by_place_and_by_name_has_one_digest() -> None:
    def placed(first: int, /, second: int = 2, *rest: int, third: int = 3) -> None:
        """Takes some by place."""

    contract = Contract("t", placed)
    digests = {
        contract.check(args, kwargs).digest() for args, kwargs in (((1,), {}), ((1, 2), {}), ((1,), {"second": 2}))
    }
    assert len(digests) == 1
    assert contract.check((1, 2, 4), {}).digest() not in digests
