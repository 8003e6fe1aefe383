"""The private names that we stand on are there in what is installed, and each has a file that uses it and a test."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import celery
import pytest

from celery_anp.seams.private_names import NAMES, Name

ROOT = Path(__file__).parents[2]
#: The Celery that is locked: a name that only a later one has would be looked up in none.
NEWEST = (5, 7)


@pytest.mark.parametrize("one", NAMES, ids=lambda one: one.name.rpartition(".")[2])
def test_a_private_name_is_there_and_used_where_it_says(one: Name) -> None:
    assert one.since <= NEWEST
    if (celery.VERSION.major, celery.VERSION.minor) < one.since:
        pytest.skip(f"Celery has it since {one.since}")
    module, _, path = one.name.partition(":")
    assert reduce(getattr, path.split("."), import_module(module)) is not None
    own = (ROOT / "celery_anp" / one.used_in).read_text(encoding="utf-8")
    assert re.search(rf"\b{path.split('.')[-1]}\b", own)
    assert (ROOT / "tests" / one.test).exists()
