"""One stack in containers for all tests here, and nothing of it left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.compose import Compose, engine


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an engine the tests are skipped with the reason, unless it is required."""
    wanted = config.getoption("--stack")
    missing = "it takes minutes: make stack-test" if wanted == "off" else engine()
    if missing and wanted == "required":
        raise pytest.UsageError(f"a Docker engine is required here, and {missing}")
    for item in items:
        if "tests/stack/" in item.path.as_posix():
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.timeout(400))
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"containers: {missing}"))


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The stack, built, started and healthy."""
    project = Compose(tmp_path_factory.mktemp("compose") / "anp")
    project.build()
    try:
        project.up()
        yield project
    finally:
        told = project("logs", "--no-color", "--tail", "60", check=False)
        print(told.stdout[-20_000:])
        project.down()
    assert project.left() == ""
