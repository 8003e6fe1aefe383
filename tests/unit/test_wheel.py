"""What `pip install celery-anp` brings: the engine, and nothing of this repository's own worker."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.support.wheel import ROOT, Installed

#: Loads the engine's public names and tells which of our neighbours can be imported.
ALONE = """
import importlib.util
import celery_anp
assert all(getattr(celery_anp, name) for name in celery_anp.__all__)
names = ("worker", "schedules", "tests", "flower", "sqlalchemy", "starlette")
def found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
print([name for name in names if found(name)], celery_anp.__file__)
"""


def test_the_wheel_holds_the_engine_and_nothing_else(installed: Installed) -> None:
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "celery_anp").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert names == {str(path.relative_to(ROOT)) for path in files}
    assert "celery_anp/py.typed" in names
    assert {Path(name).suffix for name in names} >= {".py", ".lua", ".txt"}


def test_installed_it_stands_alone(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("python", "-c", ALONE, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    alone, _, where = done.stdout.partition("] ")
    assert alone == "["
    assert Path(where.strip()).is_relative_to(installed.bin.parent)
    told = installed.run("anp", "--version", folder=tmp_path)
    assert (told.returncode, told.stdout.split()[0]) == (0, "anp"), told.stderr


def test_what_an_extra_brings_is_named_where_it_is_missing(installed: Installed, tmp_path: Path) -> None:
    told = installed.run("anp", "flower", folder=tmp_path)
    assert told.returncode == 2
    assert "celery-anp[flower]" in told.stderr
