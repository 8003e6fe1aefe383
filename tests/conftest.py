"""One Redis for the whole test run (one for each pytest-xdist process), named before anything reads the settings."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from redis import Redis

from celery_anp.errors import AnpError
from celery_anp.local.embedded.binary import find_server, version
from celery_anp.local.embedded.server import LEDGER, RedisServer
from celery_anp.process.port import free
from celery_anp.settings import read, settings
from tests.support.mariadb import MariaDB, missing
from tests.support.stack import Stack
from tests.support.wheel import Installed, install
from worker.app import app

TASKS = "tests.support.probe"
PASSWORD = "loopback"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the tests in containers, on a WordPress and on MariaDB need."""
    choices = ("off", "on", "required")
    parser.addoption("--stack", choices=choices, default="off", help="run the tests in containers, where Docker is")
    wanted = "what tests of a program that is not installed (mariadbd, php, openssl) do"
    parser.addoption("--missing", choices=("skip", "fail"), default="skip", help=wanted)
    choices = ("off", "only", "on")
    parser.addoption("--long", choices=choices, default="off", help="run the tests marked `long`: only them, or all")
    choices = ("off", "auto", "required")
    parser.addoption("--wordpress", choices=choices, default="off", help="run the tests on a WordPress, where one is")


def pytest_configure(config: pytest.Config) -> None:
    """The settings of the tests; nothing is started yet."""
    for name in [name for name in os.environ if name.startswith("ANP_") and name != "ANP_REDIS_SERVER"]:
        del os.environ[name]
    # Hundreds of processes are started: none has to compile our modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["ANP_REDIS_URL"] = f"redis://:{PASSWORD}@127.0.0.1:{free()}/0"
    os.environ["ANP_APP"] = "worker.app:app"
    os.environ["ANP_TASKS"] = TASKS
    os.environ["ANP_LEASE"] = "3"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    read.cache_clear()
    # How long an example takes is the machine's affair: other tests run beside it.
    hypothesis.settings.register_profile("tests", deadline=None)
    hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that takes long runs where --long, a mark, a word or its own name asks for it."""
    wanted = config.getoption("--long")
    named = config.option.markexpr or config.option.keyword or any("::" in word for word in config.args)
    if wanted == "on" or (named and wanted == "off"):
        return
    left = [item for item in items if (item.get_closest_marker("long") is None) == (wanted == "only")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


def pytest_report_header() -> str:
    """Which Redis it is."""
    try:
        server = find_server(settings().redis_server)
    except AnpError as error:
        return f"redis: {error}"
    return f"redis: {'.'.join(map(str, version(server)))}, {server}"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis at ANP_REDIS_URL."""
    port = int(os.environ["ANP_REDIS_URL"].rpartition(":")[2].partition("/")[0])
    with RedisServer(tmp_path_factory.mktemp("redis"), LEDGER, port=port, password=PASSWORD) as server:
        yield server
        # A result that outlives Redis has nothing to unsubscribe from.
        app.backend.remove_pending_result = lambda result: result


def without(request: pytest.FixtureRequest, lacking: str) -> None:
    """Skip a test, or fail it with `--missing=fail`, where something is lacking."""
    if lacking and request.config.getoption("--missing") == "fail":
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)


@pytest.fixture(scope="session")
def openssl(request: pytest.FixtureRequest) -> str:
    """The program."""
    without(request, "" if shutil.which("openssl") else "openssl is not installed")
    return "openssl"


@pytest.fixture(scope="session")
def php(request: pytest.FixtureRequest) -> str:
    """The program."""
    without(request, "" if shutil.which("php") else "php is not installed (Debian: php-cli)")
    return "php"


@pytest.fixture(scope="session")
def mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDB]:
    """A real MariaDB, one for each process of the test run."""
    without(request, missing())
    # A socket's path may have 107 characters; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="anp-db-") as folder, MariaDB(Path(folder)) as server:
        yield server


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.database()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The engine's wheel, installed."""
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """An empty Redis."""
    client = Redis.from_url(os.environ["ANP_REDIS_URL"], decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="module")
def shared_stack(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker that the tests of one module share."""
    client = Redis.from_url(os.environ["ANP_REDIS_URL"])
    client.flushall()
    client.close()
    with Stack(tmp_path_factory.mktemp("stack"), os.environ["ANP_REDIS_URL"]) as stack:
        stack.worker()
        yield stack


@pytest.fixture
def stack(redis: Redis, tmp_path: Path) -> Iterator[Stack]:
    """An empty stack: start workers and beats in it as a test needs them."""
    with Stack(tmp_path, os.environ["ANP_REDIS_URL"]) as stack:
        yield stack
