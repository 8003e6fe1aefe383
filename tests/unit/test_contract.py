"""The typed border of a task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, PositiveInt, SecretStr

from celery_anp.contract.signature import Contract
from celery_anp.errors import BadDeclaration, BadInput, BadResult


class Answer(BaseModel):
    """A result."""

    count: int


def publish(site: str, batch: PositiveInt = 100, kind: Literal["post", "page"] = "post") -> Answer:
    return Answer(count=batch)


def loose(first, *rest, flag=False, **more):  # type: ignore[no-untyped-def]
    return first


def typed(when: datetime, password: SecretStr | None = None, raw: Any = None) -> None:
    return None


def test_positional_and_named_input_are_the_same_input() -> None:
    contract = Contract("t", publish)
    by_place, by_name = contract.check(("main", 5), {}), contract.check((), {"batch": 5, "site": "main"})
    assert by_place == by_name
    assert by_place.kwargs == {"site": "main", "batch": 5}
    assert by_place.digest() == contract.check(("main", 5, "post"), {}).digest()
    assert by_place.digest() != contract.check(("main", 6), {}).digest()


def test_defaults_fill_the_fields_but_do_not_travel() -> None:
    checked = Contract("t", publish).check(("main",), {})
    assert checked.fields == {"site": "main", "batch": 100, "kind": "post"}
    assert checked.kwargs == {"site": "main"}


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'site'"),
        (("main", -1), {}, "batch: Input should be greater than 0, given -1"),
        (("main",), {"bach": 1}, "Did you mean 'batch'"),
        (("main",), {"kind": "pst"}, "kind: Input should be 'post' or 'page', given 'pst'"),
        ((None, "x"), {}, "site: .*; batch: "),
    ],
)
def test_a_wrong_input_names_field_expectation_and_value(
    args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        Contract("t", publish).check(args, kwargs)


def test_what_travels_is_json_and_what_arrives_is_typed() -> None:
    moment = datetime(2026, 11, 21, 21, 55, tzinfo=UTC)
    contract = Contract("t", typed)
    sent = contract.check((moment,), {})
    assert sent.kwargs == {"when": "2026-11-21T21:55:00Z"}
    assert contract.check((), sent.kwargs).values["when"] == moment


def test_a_secret_travels_but_its_value_is_never_in_a_message_about_it() -> None:
    contract = Contract("t", typed)
    assert contract.secrets == ("password",)
    sent = contract.check((datetime.now(UTC),), {"password": "hunter2"})
    assert sent.kwargs["password"] == "hunter2"
    with pytest.raises(BadInput) as refused:
        contract.check((datetime.now(UTC),), {"password": ["hunter2"]})
    assert "hunter2" not in str(refused.value)


def test_arguments_without_names_keep_their_places() -> None:
    checked = Contract("t", loose).check((1, 2, 3), {"flag": True, "other": 4})
    assert (checked.args, checked.kwargs) == ((1, 2, 3), {"flag": True, "other": 4})


def test_a_result_is_checked_and_made_json() -> None:
    contract = Contract("t", publish)
    assert contract.check_result(Answer(count=3)) == {"count": 3}
    assert contract.check_result({"count": "3"}) == {"count": 3}
    with pytest.raises(BadResult, match="at count"):
        contract.check_result({"count": "many"})
    with pytest.raises(BadResult, match="cannot be kept"):
        Contract("t", loose).check_result(object())


def test_a_lock_may_only_name_fields() -> None:
    contract = Contract("t", publish)
    contract.check_template("publish:{site}")
    assert contract.fill("publish:{site}", {"site": "main"}) == "publish:main"
    with pytest.raises(BadDeclaration, match="Did you mean 'site'"):
        contract.check_template("publish:{sit}")


def test_help_reads_as_a_person_writes_types() -> None:
    def body(a: int, b: Annotated[str, Field(max_length=3)] | None = None, c: list[Literal["x", "y"]] = []) -> None:  # noqa: B006
        return None

    assert Contract("t", body).help() == [
        ("a", "int", "required"), ("b", "str or none", "None"), ("c", "list['x' or 'y']", "[]"),
    ]  # fmt: skip


def test_fields_may_have_any_name() -> None:
    def body(schema: str, json: int, model_dump: int = 1, _hidden: int = 2) -> None:
        return None

    assert Contract("t", body).check(("s", 1), {"_hidden": 3}).kwargs == {"schema": "s", "json": 1, "_hidden": 3}


def test_inputs_that_differ_anywhere_have_another_digest() -> None:
    contract = Contract("t", loose)
    calls: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((1, 2), {"a": 2}), ((1, 2), {"a": 3}), ((1, 3), {"a": 2}), ((1, 2), {"flag": True}),
    ]  # fmt: skip
    assert len({contract.check(args, kwargs).digest() for args, kwargs in calls}) == 4
    assert contract.check((1, 2), {}).digest() == contract.check((1, 2), {"flag": False}).digest()


def test_an_error_that_travels_as_a_result_keeps_all_its_words() -> None:
    error = BadResult("the result is wrong", expected="a number", given="'x'")
    assert str(BadResult(*error.args)) == str(error)
    assert "Expected: a number. Given: 'x'." in str(error)
