"""What is told outside holds no secret."""

from __future__ import annotations

import json

import pytest

from celery_anp.redaction import cleared
from celery_anp.reliability.message import secret_values

MESSAGE = json.dumps(
    {
        "headers": {"anp_secret": ["password", "tokens"]},
        "body": json.dumps([[], {"password": "hunter2", "tokens": ["hunter2-long", "t/1"], "user": "ann"}, {}]),
    }
)


def test_the_values_of_secret_input_are_hidden_the_longest_first_and_others_stay() -> None:
    said = cleared("ann was refused with hunter2-long, hunter2 and t/1", secret_values(MESSAGE))
    assert said == "ann was refused with (secret), (secret) and (secret)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ConnectError: redis://:pa55@host:6379/0", "ConnectError: redis://(secret)@host:6379/0"),
        ("mysql://ann:pa55@db/x is away", "mysql://(secret)@db/x is away"),
        ("GET https://x/y?page=2&api_key=abc&z=1 gave 403", "GET https://x/y?page=2&api_key=(secret)&z=1 gave 403"),
        ("sent Authorization: Bearer abcdef.ghijk", "sent Authorization: Bearer (secret)"),
        ("https://x/y@z has no login, ann@example.org is an address", None),
        ("the basic idea", None),
    ],
)
def test_logins_and_tokens_in_addresses_are_hidden_and_other_words_stay(text: str, told: str | None) -> None:
    assert cleared(text) == (told or text)


def test_a_run_without_a_message_is_told_as_it_is() -> None:
    assert cleared("no route to host", secret_values("")) == "no route to host"
    plain = json.dumps({"headers": {}, "body": json.dumps([[], {"user": "host"}, {}])})
    assert cleared("no route to host", secret_values(plain)).endswith("host")
