"""Which cells of the table run: all with `-m faults`, otherwise one fault a step among the long tests."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from tests.faults.scene import Scene


def pytest_configure(config: pytest.Config) -> None:
    """The marker of the cells that the long tests try."""
    config.addinivalue_line("markers", "smoke: the one fault of a step that runs in make test-long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a choice of its own, a test run tries one fault a step."""
    if config.option.markexpr or config.option.keyword or any("::" in word for word in config.args):
        return
    left = [item for item in items if item.get_closest_marker("faults") and not item.get_closest_marker("smoke")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A cell that fails tells what happened in it."""
    report = yield
    found = getattr(item, "funcargs", {}).get("scene")
    if report.when == "call" and report.failed and found is not None:
        report.sections.append(("what happened", found.story()))
    return report


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """An empty scene with a Redis of its own, and hash seeds by the cell's name."""
    # Not at the top: this file is read before the settings of the tests are made, and the app would read others.
    from tests.faults.scene import Scene

    with Scene(tmp_path, hash_seed=crc32(request.node.name.encode()) % 1000) as scene:
        yield scene
