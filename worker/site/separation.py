"""The site's cache must not be the broker's Redis: eviction would lose messages, clearing would reach them.

Limit: two names of one server are seen as one only when both answer.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis

from celery_anp import security
from celery_anp.errors import Refused

_LOOPBACK = {"localhost", "127.0.0.1", "::1", "", None}
_WAIT = 2.0


def require(broker_url: str, cache_url: str) -> None:
    """Refuse a cache that is the broker, as far as the URLs tell.

    Args:
        broker_url: of broker and ledger.
        cache_url: of the site's object cache.

    Raises:
        Refused: both name the same host, port and database.
    """
    if address(broker_url) == address(cache_url):
        _refuse(cache_url)


def require_live(broker_url: str, cache: Any) -> None:
    """Refuse a cache that is the broker under another name, asking both servers who they are.

    Args:
        broker_url: of broker and ledger.
        cache: a redis client of the object cache.

    Raises:
        Refused: both are one server and one database.
        redis.RedisError: the cache does not answer. A broker that does not answer, and a server that may not be
            asked who it is, pass.
    """
    if urlsplit(broker_url).scheme not in ("redis", "rediss"):
        return
    try:
        waits = {"socket_timeout": _WAIT, "socket_connect_timeout": _WAIT}
        with redis.Redis.from_url(broker_url, **waits, **security.tls(broker_url)) as broker:
            identity = broker.info("server")["run_id"]
    except redis.RedisError:
        return
    try:
        same = identity == cache.info("server")["run_id"]
    except redis.ResponseError:
        return
    if same and _database(broker_url) == _client_database(cache):
        _refuse(broker_url)


def address(url: str) -> tuple[str, int, int]:
    """Host, port and database of a Redis URL; every name of this machine is `127.0.0.1`."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "redis+socket"):
        return (parts.path, 0, _database(url))
    host = "127.0.0.1" if parts.hostname in _LOOPBACK else str(parts.hostname)
    return (host, parts.port or 6379, _database(url))


def _database(url: str) -> int:
    parts = urlsplit(url)
    named = "" if parts.scheme in ("unix", "redis+socket") else parts.path.strip("/")
    for field in parts.query.split("&"):
        name, _, value = field.partition("=")
        named = value.strip("/") if name in {"db", "virtual_host"} else named
    return int(named) if named.isdigit() else 0


def _client_database(client: Any) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def _refuse(url: str) -> None:
    host, port, database = address(url)
    raise Refused(
        "The site's cache is the broker's Redis",
        expected="ANP_CACHE_URL naming a Redis of its own, which may lose what it holds",
        given=f"{host}:{port}, database {database}, for both",
    )
