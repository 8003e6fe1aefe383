"""Settings: read once, refused with the variable's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_anp.errors import BadSetting
from celery_anp.settings import read
from worker.settings import settings


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    read.cache_clear()
    yield
    read.cache_clear()


def test_a_secret_can_be_a_mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("ANP_FLOWER_PASSWORD_FILE", str(tmp_path / "password"))
    assert settings().flower_password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings())


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANP_FLOWER_PASSWORD_FILE", "/nowhere/password")
    with pytest.raises(BadSetting, match=r"ANP_FLOWER_PASSWORD_FILE cannot be read.*/nowhere/password"):
        settings()


def test_an_unknown_setting_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANP_LEASES", "3")
    with pytest.raises(BadSetting, match="Did you mean 'ANP_LEASE'"):
        settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ANP_LEASE", "0", "greater than or equal to 1"),
        ("ANP_REDIS_URL", "localhost:6379", "a URL that begins with redis://"),
        ("ANP_PREFIX", "Anp:", "match pattern"),
        ("ANP_PREFIX", "anp\n", "match pattern"),
        ("ANP_CONCURRENCY", "2.5", "valid integer"),
        ("ANP_REDIS_URL", "redis://:pa/ss@localhost/0", "%2F"),
        ("ANP_REDIS_URL", "redis://localhost:99999/0", "a port"),
        ("ANP_REDIS_URL", "rediss://[::1/0", "a port"),
        ("ANP_ENV", "prod", "'development', 'staging' or 'production'"),
    ],
)
def test_a_wrong_value_names_variable_expectation_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=said) as refused:
        settings()
    assert name in str(refused.value)
    shown = "a value that is not shown" if name.endswith("_URL") else repr(value)  # it may hold a password
    assert shown in str(refused.value)


def test_without_a_redis_url_the_running_stack_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = {"pid": 1, "settings": {"redis_url": "redis://127.0.0.1:7001/0", "site_url": "http://127.0.0.1:7002"}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    monkeypatch.delenv("ANP_REDIS_URL")
    monkeypatch.setenv("ANP_STATE", str(tmp_path))
    assert settings().redis_url == "redis://127.0.0.1:7001/0"
    monkeypatch.setenv("ANP_REDIS_URL", "redis://127.0.0.1:7003/0")
    read.cache_clear()
    assert settings().redis_url == "redis://127.0.0.1:7003/0"
    assert settings().site_url == "http://127.0.0.1:8000"


def test_a_whole_number_may_have_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANP_CONCURRENCY", " 3.0 ")
    assert settings().concurrency == 3


def test_a_file_that_is_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_bytes(b"\xff")
    monkeypatch.setenv("ANP_FLOWER_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(BadSetting, match=r"ANP_FLOWER_PASSWORD_FILE cannot be read.*no UTF-8"):
        settings()


@pytest.mark.parametrize("text", [b"x = [", b"\xff", b"tool = 5"])
def test_a_project_file_that_is_no_project_names_no_app(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANP_APP", raising=False)
    assert settings().app == ""


@pytest.mark.parametrize("text", ["[tool]\nanp = 'x'", "[tool.anp]\napp = 5", "[tool.anp]\napp = ['a']"])
def test_an_app_that_is_no_text_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANP_APP", raising=False)
    with pytest.raises(BadSetting):
        settings()
