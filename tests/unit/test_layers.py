"""Layers are law: an import that goes up is refused by `make check`, and the engine stands without the deployment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Lines that must be refused, by the file that they are planted in.
PLANTED = [
    ("celery_anp/reliability/ledger.py", "from celery_anp.cli import printing"),
    ("celery_anp/reliability/retry.py", "from worker.site import posts"),
    ("celery_anp/reliability/store.py", "import kombu"),
    ("celery_anp/sending/publisher.py", "from celery_anp.cli import which_app"),
    ("celery_anp/errors.py", "from worker.demo import content"),
    ("celery_anp/duration.py", "from celery_anp.settings import settings"),
    ("celery_anp/canvas/links.py", "from celery_anp.task import ReliableTask"),
    ("celery_anp/beat/occurrences.py", "import redis"),
    ("celery_anp/node/upkeep.py", "from celery_anp.beat import schedule"),
    ("worker/site/posts.py", "from worker.tasks import content"),
    ("celery_anp/strange.py", "import json"),  # a room that no layer names
]
#: Loads every module of the engine but the screen, where the deployment and what only it needs cannot be imported.
ALONE = """
import importlib, pkgutil, sys
REFUSED = {"worker", "tests", "sqlalchemy", "pymysql", "flower", "starlette", "uvicorn", "jinja2"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not the engine's")
sys.meta_path.insert(0, Refuse())
import celery_anp
for found in pkgutil.walk_packages(celery_anp.__path__, "celery_anp."):
    if not found.name.startswith(("celery_anp.screen", "celery_anp.__main__")):
        importlib.import_module(found.name)
print(len(celery_anp.__all__), all(getattr(celery_anp, name) for name in celery_anp.__all__))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("celery_anp", "worker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def linted(house: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not here: it needs newer libraries than our floors (make compat)")
    env = {**os.environ, "PYTHONPATH": str(house)}
    return subprocess.run(
        [program, "--no-cache"], cwd=house, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_house_as_it_stands_is_clean(house: Path) -> None:
    assert linted(house).returncode == 0


@pytest.mark.parametrize(("file", "line"), PLANTED, ids=lambda value: value.rpartition("/")[2])
def test_an_import_that_goes_up_is_refused(house: Path, file: str, line: str) -> None:
    planted = house / file
    before = planted.read_text(encoding="utf-8") if planted.exists() else ""
    # Also one that only type checkers see is an arrow of the house.
    planted.write_text(f"{before}\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}\n", encoding="utf-8")
    try:
        told = linted(house)
    finally:
        planted.write_text(before, encoding="utf-8") if before else planted.unlink()
    assert told.returncode != 0, told.stdout


def test_the_engine_stands_without_the_deployment_and_its_libraries(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "6 True\n"), done.stderr
