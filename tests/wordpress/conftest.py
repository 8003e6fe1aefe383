"""One WordPress for all tests here; each test finds it without anything due."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wordpress import lab as labs
from tests.wordpress.lab import Lab


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a WordPress the tests are skipped with the reason, unless it is required."""
    wanted = config.getoption("--wordpress")
    missing = "it takes minutes: make site-test" if wanted == "off" else labs.missing()
    if missing and wanted == "required":
        raise pytest.UsageError(f"a WordPress is required here, and {missing}")
    for item in items:
        if "tests/wordpress/" in item.path.as_posix() and "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.wordpress)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"WordPress: {missing}"))


@pytest.fixture(scope="session")
def running_lab() -> Lab:
    """The WordPress, running. Who started it ends it."""
    return Lab.up()


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The WordPress, with nothing due."""
    running_lab.tidy()
    yield running_lab
    running_lab.tidy()
