"""Layers are law: an import that goes up is refused by `make check`, and the engine stands without the deployment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wheel import EXTRAS, ROOT, refusing

LAYERS = "the engine's layers: a room imports only rooms below it"
#: Lines that must be refused: the file that they are planted in, and the contract that they break.
PLANTED = [
    ("celery_anp/reliability/ledger.py", "from celery_anp.cli import printing", LAYERS),
    ("celery_anp/reliability/retry.py", "from worker.site import posts", "the engine never imports the deployment"),
    ("celery_anp/reliability/store.py", "import kombu", "reliability knows no Celery"),
    ("celery_anp/sending/publisher.py", "from celery_anp.cli import which_app", LAYERS),
    ("celery_anp/errors.py", "from worker.demo import content", "the engine never imports the deployment"),
    ("celery_anp/duration.py", "from celery_anp.settings import settings", LAYERS),
    ("celery_anp/canvas/links.py", "from celery_anp.task import ReliableTask", LAYERS),
    ("celery_anp/beat/occurrences.py", "import redis", "occurrences are pure"),
    ("celery_anp/node/upkeep.py", "from celery_anp.beat import schedule", LAYERS),
    ("worker/site/posts.py", "from worker.tasks import content", "the deployment's layers"),
]
#: Loads every module of the engine but the screen.
ALONE = """
import importlib, pkgutil
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
    told = linted(house)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize(("file", "line", "contract"), PLANTED, ids=lambda value: value.rpartition("/")[2])
def test_an_import_that_goes_up_is_refused(house: Path, file: str, line: str, contract: str) -> None:
    planted = house / file
    before = planted.read_text(encoding="utf-8")
    # Also one that only type checkers see is an arrow of the house.
    planted.write_text(f"{before}\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}\n", encoding="utf-8")
    try:
        told = linted(house)
    finally:
        planted.write_text(before, encoding="utf-8")
    assert told.returncode != 0, told.stdout
    assert f"{contract} BROKEN" in told.stdout


def test_a_room_that_no_layer_names_is_refused(house: Path) -> None:
    strange = house / "celery_anp" / "strange.py"
    strange.write_text("import json\n", encoding="utf-8")
    try:
        told = linted(house)
    finally:
        strange.unlink()
    assert told.returncode != 0, told.stdout
    assert "celery_anp.strange" in told.stdout + told.stderr


def test_the_engine_stands_without_the_deployment_and_its_libraries(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", refusing(*EXTRAS, "worker", "tests") + ALONE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "6 True\n"), done.stderr
