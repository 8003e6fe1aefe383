"""`.env.example` has every setting, and every variable that the compose files are filled in with."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from celery_anp.settings import PREFIX
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
COMPOSE = ("docker-compose.yml", "deploy/staging.yml", "deploy/production.yml", "deploy/wordpress/compose.yml")


@pytest.mark.parametrize("name", Settings.known())
def test_each_setting_stands_in_it(name: str) -> None:
    assert re.search(rf"\b{PREFIX}{name.upper()}\b", EXAMPLE)


@pytest.mark.parametrize("file", COMPOSE)
def test_each_variable_of_a_compose_file_can_be_set_in_it(file: str) -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / file).read_text(encoding="utf-8")))
    given = set(re.findall(r"^([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert asked - given == set()


def test_each_line_of_it_reaches_a_compose_file() -> None:
    asked = "".join((ROOT / file).read_text(encoding="utf-8") for file in COMPOSE)
    assert [name for name in re.findall(r"^([A-Z_]+)=", EXAMPLE, re.MULTILINE) if f"${{{name}" not in asked] == []


def test_each_line_of_it_is_explained_above() -> None:
    lines = EXAMPLE.splitlines()
    assert not [line for before, line in pairwise(lines) if re.match(r"[A-Z_]+=", line) and not before.strip()]


def test_no_password_stands_in_it() -> None:
    assert not re.search(r"^\w*(PASSWORD|TOKEN|_URL)\w*=.+", EXAMPLE, re.MULTILINE)
