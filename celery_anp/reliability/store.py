"""The connection to Redis, and the scripts that run in it.

Every change of several keys is one script. Scripts are replayable: redis-py sends a command again by itself
when an answer is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis
from redis.backoff import FullJitterBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from celery_anp import security
from celery_anp.errors import LedgerFull, LedgerUnavailable
from celery_anp.reliability import sentinel
from celery_anp.reliability.records import LATE

#: The oldest Redis that the scripts run on.
OLDEST = (6, 2)
#: Seconds that a command may take before its connection counts as lost.
TIMEOUT = 5.0
#: Part of Redis' memory limit at which nothing new is planned.
FULL_AT = 0.8
#: The folders of the scripts: the shared files, then by what a script is about.
ROOMS = ("lib", "runs", "nodes", "schedules", "outbox")
#: What every script is put behind, each file after those that it uses.
SHARED = ("base", "alarms", "index", "results", "keeping", "ending", "lock", "nodes", "sending")
#: Scripts that plan rows share one more piece.
PLANNING = frozenset({"plan", "tick", "backfill"})
#: What Python gives to the scripts, before their first file: the buckets of lateness stand in records.py.
GIVEN = f"local LATE = {{ {', '.join(map(str, LATE))} }}"
#: A Redis that answers and does nothing for now: redis-py knows some by class, unless they come from within a script,
#: whose error Redis 6.2 wraps: "Error running script (…): @user_script: 9: -READONLY You can't …".
NOT_NOW = (ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_NOT_NOW = re.compile(r"(?:^|: -)(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ")


def connect(url: str, *, timeout: float = TIMEOUT, retries: int = 3, decode: bool = True) -> redis.Redis:
    """A client that never blocks for ever.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+socket://`, or
            `sentinel://user:password@host:port;host:port/db?service=name`.
        timeout: seconds for connecting and for each command.
        retries: how often a command is sent again after a lost connection.
        decode: answers as text.

    Returns:
        A client with its own connection pool; safe across threads and forks.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "health_check_interval": 30,
        "decode_responses": decode,
        "retry": Retry(FullJitterBackoff(cap=1, base=0.05), retries),
        "retry_on_error": [ConnectionError, TimeoutError, ReadOnlyError],
        **security.tls(url),
    }
    if sentinel.is_sentinel(url):
        return _through_sentinel(url, options)
    if url.startswith("redis+socket://"):
        url = url.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(url, **options)


def _through_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    address = sentinel.parse(url)
    waits = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    # One sentinel that does not answer is no reason to wait: there are others, and the command itself is tried again.
    own = {**waits, "retry": Retry(NoBackoff(), 1), **security.sentinel_login()}
    watchers = Sentinel(list(address.hosts), sentinel_kwargs=own, **waits)
    login = {"username": address.user, "password": address.password}
    return watchers.master_for(address.service, db=address.database, **login, **options)


def parts_of(name: str) -> tuple[str, ...]:
    """The files that a script is put together from, itself the last."""
    return (*SHARED, *(("planning",) if name in PLANNING else ()), name)


def part_text(part: str) -> str:
    """One file of the scripts; its name, without `.lua`, stands in one folder only."""
    rooms = (resources.files(__package__) / "scripts" / room for room in ROOMS)
    (file,) = (room / f"{part}.lua" for room in rooms if (room / f"{part}.lua").is_file())
    return file.read_text(encoding="utf-8")


@cache
def script_text(name: str, clock: str = "") -> str:
    """The whole text of a script, as Redis gets it.

    Args:
        name: the file's name without `.lua`.
        clock: a Redis key that tests move instead of the server's time; empty: the server's time.

    Returns:
        The shared parts and the script.
    """
    text = "\n".join([GIVEN, *(part_text(part) for part in parts_of(name))])
    if clock:
        moved = f"{{ redis.call('GET', '{clock}') or '0', '0' }}"
        text = text.replace("redis.call('TIME')", moved, 1)
    return text


class Store:
    """Runs the ledger's scripts on one Redis.

    Args:
        client: a connection made by `connect`.
        prefix: first part of every key, without the colon.
        clock: for tests: see `script_text`.
        url: where the client is connected to, for `separate`.
    """

    def __init__(self, client: redis.Redis, prefix: str, clock: str = "", url: str = "") -> None:
        self.client = client
        self.prefix = f"{prefix}:ledger:"
        self._name, self._url = prefix, url
        self._clock = clock
        self._scripts: dict[str, Any] = {}

    def separate(self, timeout: float = TIMEOUT) -> Store:
        """The same for one thread: a connection of its own, and no command sent twice.

        Args:
            timeout: seconds for connecting and for each command.
        """
        return Store(connect(self._url, timeout=timeout, retries=0), self._name, self._clock, self._url)

    @property
    def database(self) -> int:
        """The number of the Redis database."""
        return int(self.client.get_connection_kwargs().get("db") or 0)

    def key(self, name: str) -> str:
        """The full name of one of the ledger's keys."""
        return self.prefix + name

    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """Run a script.

        Args:
            name: the script's file name without `.lua`.
            *arguments: its ARGV.

        Returns:
            What the script answers.

        Raises:
            LedgerFull: Redis is near its memory limit.
            LedgerUnavailable: Redis did not answer, is too old, or refused us.
        """
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self.client.register_script(script_text(name, self._clock))
        try:
            return script(keys=[self.prefix], args=arguments)
        except RedisError as error:
            raise translate(error) from error

    def read(self, command: str, *arguments: Any) -> Any:
        """One plain command of the client, with the ledger's errors.

        Args:
            command: a method of `redis.Redis`, e.g. `hgetall`.
            *arguments: its arguments.

        Returns:
            Its answer.

        Raises:
            LedgerUnavailable: Redis did not answer or refused us.
        """
        try:
            return getattr(self.client, command)(*arguments)
        except RedisError as error:
            raise translate(error) from error

    def rows(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Several hashes in one round trip, in the order asked for."""
        if not keys:
            return []
        try:
            with self.client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hgetall(key)
                return list(pipe.execute())
        except RedisError as error:
            raise translate(error) from error

    def check_server(self) -> str:
        """The version of the server.

        Returns:
            Its version, e.g. `8.0.1`.

        Raises:
            LedgerUnavailable: it does not answer, or is older than 6.2.
        """
        version = str(self.read("info", "server")["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            raise LedgerUnavailable(
                "This Redis is too old", expected="Redis 6.2 or newer", given=version, retry_safe=False
            )
        return version


def translate(error: RedisError) -> LedgerFull | LedgerUnavailable:
    """redis-py's errors in the ledger's words."""
    if isinstance(error, ResponseError) and "LEDGERFULL" in str(error):
        return LedgerFull(
            "Redis is near its memory limit, so nothing new is planned",
            expected="less than 80 % of maxmemory in use",
            given="`anp status` shows it; raise maxmemory or keep fewer rows (ANP_KEEP_ROWS)",
        )
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return LedgerUnavailable(
            "Redis refused us",
            expected="a user with the rights that deploy/redis grants",
            given=str(error),
            retry_safe=False,
        )
    if isinstance(error, (ConnectionError, TimeoutError)):
        return LedgerUnavailable(
            "Redis does not answer",
            expected="a server at ANP_REDIS_URL, or a running `anp up`",
            given=str(error),
        )
    if isinstance(error, NOT_NOW) or _NOT_NOW.search(str(error)):
        return LedgerUnavailable(
            "Redis does nothing for us now",
            expected="a master that is not busy, with room in memory and on its disk",
            given=str(error),
        )
    return LedgerUnavailable("Redis could not do what was asked", given=str(error), retry_safe=False)
