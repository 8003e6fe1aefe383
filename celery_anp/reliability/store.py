"""The ledger's keys through redis-py: safe across threads and forks, through sentinels too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import FullJitterBackoff, NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,
    DataError,
    MovedError,
    NoPermissionError,
    NoScriptError,
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
from celery_anp.reliability import keyspace, sentinel
from celery_anp.reliability.keyspace import TIMEOUT, Keyspace, script_text
from celery_anp.settings import Settings

#: How the URL of a socket of this machine begins, and the options that it has no use for.
SOCKETS = ("redis+socket://", "unix://")
TCP = frozenset({"socket_connect_timeout", "socket_keepalive"})
#: A Redis that answers and does nothing for now, where redis-py knows it by class: not from within a script.
NOT_NOW = (OutOfMemoryError, ReadOnlyError)
#: What only a cluster says.
CLUSTERED = (AskError, ClusterCrossSlotError, ClusterDownError, MovedError, TryAgainError)
#: What a command raises: what Redis says, and a text that cannot be sent.
ERRORS = (RedisError, UnicodeError)


def connect(url: str, *, timeout: float = TIMEOUT, retries: int = 3) -> redis.Redis:
    """A client that never blocks for ever.

    Args:
        url: `redis://`, `rediss://`, `unix:///path?db=0`, `redis+socket:///path?virtual_host=0`, or
            `sentinel://user:password@host:port;host:port/db?service=name`.
        timeout: seconds for connecting and for each command.
        retries: how often a command is sent again after a lost connection.

    Returns:
        A client with its own connection pool; safe across threads and forks.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "health_check_interval": 30,
        "decode_responses": True,
        "encoding_errors": keyspace.HALVES,
        "retry": Retry(FullJitterBackoff(cap=1, base=0.05), retries),
        "retry_on_error": [ConnectionError, TimeoutError, ReadOnlyError],
        **security.tls(url),
    }
    if sentinel.is_sentinel(url):
        return _through_sentinel(url, options)
    if url.startswith(SOCKETS):
        url = _socket(url)
        options = {name: value for name, value in options.items() if name not in TCP}
    return redis.Redis.from_url(url, **options)


def _socket(url: str) -> str:
    """The URL of a socket of this machine as redis-py reads it; kombu and Celery say `virtual_host` for its `db`."""
    parts = urlsplit(url)
    query = [("db" if name == "virtual_host" else name, value.strip("/")) for name, value in parse_qsl(parts.query)]
    return f"unix://{parts.netloc}{parts.path}" + (f"?{urlencode(query)}" if query else "")


def _through_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    address = sentinel.parse(url)
    waits = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    # One sentinel that does not answer is no reason to wait: there are others, and the command itself is tried again.
    own = {**waits, "retry": Retry(NoBackoff(), 1), **security.sentinel_login()}
    watchers = Sentinel(list(address.hosts), sentinel_kwargs=own, **waits)
    login = {"username": address.user, "password": address.password}
    return watchers.master_for(address.service, db=address.database, **login, **options)


class Store(Keyspace):
    """Runs the ledger's scripts on one Redis.

    Args:
        client: a connection made by `connect`.
        prefix: first part of every key, without the colon.
        clock: for tests: see `script_text`.
        url: where the client is connected to, for `separate`.
    """

    def __init__(self, client: redis.Redis, prefix: str, clock: str = "", url: str = "") -> None:
        super().__init__(client, prefix)
        self._name, self._url = prefix, url
        self._clock = clock
        self._scripts: dict[str, Any] = {}

    @classmethod
    def of(cls, settings: Settings, url: str = "") -> Store:
        """The one that the settings name, or at another URL; connects on first use."""
        url = url or settings.redis_url
        return cls(connect(url), settings.prefix, url=url)

    def separate(self, timeout: float = TIMEOUT) -> Store:
        """See `Keyspace.separate`."""
        return Store(connect(self._url, timeout=timeout, retries=0), self._name, self._clock, self._url)

    @property
    def database(self) -> int:
        """See `Keyspace.database`."""
        return int(self.client.get_connection_kwargs().get("db") or 0)

    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """See `Keyspace.call`."""
        try:
            return self._script(name)(keys=[self.prefix], args=arguments)
        except ERRORS as error:
            raise translate(error) from error

    def scripts(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """See `Keyspace.scripts`."""
        try:
            with self.client.pipeline(transaction=False) as pipe:
                for name, *arguments in calls:
                    pipe.evalsha(self._script(name).sha, 1, self.prefix, *arguments)
                answers = pipe.execute(raise_on_error=False)
        except ERRORS as error:
            raise translate(error) from error
        return [self._answer(call, answer) for call, answer in zip(calls, answers, strict=True)]

    def _answer(self, call: tuple[Any, ...], answer: Any) -> Any:
        if isinstance(answer, NoScriptError):  # Redis has it for the first time, or was restarted
            return self.call(*call)
        if isinstance(answer, Exception):
            raise translate(answer) from answer
        return answer

    def _script(self, name: str) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self.client.register_script(script_text(name, self._clock))
        return self._scripts[name]

    def read(self, command: str, *arguments: Any) -> Any:
        """See `Keyspace.read`."""
        try:
            return getattr(self.client, command)(*arguments)
        except ERRORS as error:
            raise translate(error) from error

    def several(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """See `Keyspace.several`."""
        if not commands:
            return []
        try:
            with self.client.pipeline(transaction=False) as pipe:
                for command, *arguments in commands:
                    getattr(pipe, command)(*arguments)
                return list(pipe.execute())
        except ERRORS as error:
            raise translate(error) from error


def translate(error: Exception) -> LedgerFull | LedgerUnavailable:
    """redis-py's errors in the ledger's words."""
    given = str(error)
    if isinstance(error, ResponseError) and "LEDGERFULL" in given:
        return keyspace.full()
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return keyspace.refused(given)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return keyspace.silent(given)
    if isinstance(error, CLUSTERED):
        return keyspace.clustered(f"{type(error).__name__}: {given}")
    if isinstance(error, NOT_NOW):
        return keyspace.not_now(given)
    answered = isinstance(error, (ResponseError, DataError, UnicodeError))
    return keyspace.said_no(given) if answered else keyspace.silent(given)
