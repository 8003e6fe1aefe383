"""The stack's secrets, made by the program that operators run."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder with what the program needs, in which it ran once."""
    (tmp_path / "deploy").mkdir()
    for name in ("deploy/make_secrets.py", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    make(tmp_path)
    return tmp_path


def make(folder: Path) -> None:
    subprocess.run([sys.executable, "deploy/make_secrets.py"], cwd=folder, check=True, capture_output=True, timeout=30)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8").strip() for path in (folder / "secrets").iterdir()}


def test_only_their_owner_reads_them(stack: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (stack / "secrets").iterdir()}
    assert len(modes) > 10
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((stack / "secrets").stat().st_mode) == 0o711


def test_what_is_there_stays(stack: Path) -> None:
    before = read(stack)
    make(stack)
    assert read(stack) == before


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("redis_url", "rediss://anp:ours@redis.example:6379/0"),
        ("flower_redis_url", "redis://watcher:ours@redis:6379/0"),
        ("cache_url", "redis://anp:ours@cache:6379/3"),
        ("database_url", "mariadb+pymysql://site:ours@db.example/shop"),
    ],
)
def test_an_address_of_the_operators_own_stays(stack: Path, name: str, own: str) -> None:
    (stack / "secrets" / name).write_text(own + "\n", encoding="utf-8")
    make(stack)
    assert read(stack)[name] == own


def test_a_password_that_is_made_anew_is_in_its_address_and_its_user(stack: Path) -> None:
    before = read(stack)
    (stack / "secrets" / "cache_password").unlink()
    make(stack)
    now = read(stack)
    changed = {name for name in now if now[name] != before[name]}
    assert changed == {"cache_password", "cache_url", "cache_acl"}
    assert f":{now['cache_password']}@" in now["cache_url"]
