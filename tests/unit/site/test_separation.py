"""The site's cache is not the broker."""

from __future__ import annotations

import pytest

from celery_anp.errors import Refused
from worker.site import separation


@pytest.mark.parametrize(
    ("broker", "cache"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://localhost", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@redis:6379", "redis://redis/0"),
        ("redis://redis:6379/3", "redis://redis:6379?db=3"),
        ("rediss://cache.example:6380/1", "redis://cache.example:6380/1"),
    ],
)
def test_one_database_of_one_server_under_two_spellings_is_refused(broker: str, cache: str) -> None:
    with pytest.raises(Refused, match="is the broker's Redis"):
        separation.require(broker, cache)


@pytest.mark.parametrize(
    "cache", ["redis://127.0.0.1:6380/0", "redis://127.0.0.1:6379/1", "redis://cache:6379/0", "unix:///run/c.sock"]
)
def test_another_host_port_or_database_is_fine(cache: str) -> None:
    separation.require("redis://127.0.0.1:6379/0", cache)


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(Refused) as refused:
        separation.require("redis://:hunter2@redis:6379/0", "redis://:hunter2@redis:6379/0")
    assert "hunter2" not in str(refused.value)
