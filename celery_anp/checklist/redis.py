"""The two Redis: their user's rights (tried), eviction, persistence and memory (from INFO: the user may not CONFIG)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from celery_anp.checklist.point import Point
from celery_anp.errors import AnpError
from celery_anp.reliability.keyspace import FULL_AT, is_cluster, too_old
from celery_anp.reliability.store import connect

#: Commands that the user must not have, in a form that does nothing where it has them.
FORBIDDEN = (
    ("FLUSHALL", "NOTHING"), ("CONFIG", "GET", "maxmemory"), ("KEYS", "anp:check:nothing"), ("ACL", "LIST"),
    ("SHUTDOWN", "NOTHING"), ("MONITOR",),
)  # fmt: skip
USERS = "a user with the rights of deploy/make_secrets.py"


def ledger(url: str) -> Iterator[Point]:
    """The Redis of broker and ledger."""
    yield from _one("ledger", url, _ledger_memory)


def cache(url: str, ledger_url: str) -> Iterator[Point]:
    """The Redis of the site's cache."""
    yield from _one("cache", url, _cache_memory)
    yield _apart(url, ledger_url)


def _one(area: str, url: str, memory: Any) -> Iterator[Point]:
    client = connect(url, timeout=3, retries=0)
    try:
        told = client.info()
    except RedisError as error:
        yield Point(area, "Redis answers, and INFO is allowed", str(error), "the address and the user; `+info`")
        return
    finally:
        client.close()
    yield _version(area, told)
    wrong = "it is a cluster, which neither Celery nor the ledger's scripts can use" if is_cluster(told) else ""
    yield Point(area, "Redis is one server, not a cluster", wrong, "cluster-enabled no; sentinels for a failover")
    yield _password(area, url)
    yield _rights(area, url)
    yield _keys(area, url)
    yield _encrypted(area, url)
    yield from memory(told)


def _version(area: str, told: dict[str, Any]) -> Point:
    version = str(told["redis_version"])
    return Point(area, "Redis is 6.2 or newer", f"it is {version}" if too_old(version) else "", "Redis 8")


def _password(area: str, url: str) -> Point:
    """Whether it lets anybody in."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = connect(url.replace(f"//{parts.netloc}", f"//{host}", 1), timeout=3, retries=0)
    try:
        bare.ping()
    except RedisError:
        return Point(area, "nobody enters without a password")
    finally:
        bare.close()
    return Point(
        area, "nobody enters without a password", "it answered a PING without one", "`make secrets`: ACL users"
    )


def _rights(area: str, url: str) -> Point:
    what = "our user may not flush, configure, list keys or shut down"
    allowed = []
    for command in FORBIDDEN:
        client = connect(url, timeout=3, retries=0)
        try:
            client.execute_command(*command)
        except NoPermissionError:
            continue
        except ResponseError:
            allowed.append(command[0])  # it was refused for its nonsense, not for want of the right
        except RedisError as error:
            return Point(area, what, str(error), USERS)
        else:
            allowed.append(command[0])
        finally:
            client.close()
    return Point(area, what, f"it may {', '.join(allowed)}" if allowed else "", USERS)


def _keys(area: str, url: str) -> Point:
    what = "our user writes only its own keys"
    stray = f"check-{uuid4()}"
    client = connect(url, timeout=3, retries=0)
    try:
        client.set(stray, "1", px=100)
    except NoPermissionError:
        return Point(area, what)
    except RedisError as error:
        return Point(area, what, str(error), USERS)
    finally:
        client.close()
    return Point(area, what, "it wrote a key outside its prefix", USERS)


def _encrypted(area: str, url: str) -> Point:
    """Encrypted, or a name without a domain: a network of containers, or this machine."""
    parts = urlsplit(url)
    near = (
        parts.scheme in ("rediss", "unix", "redis+socket")
        or "." not in (parts.hostname or "")
        or parts.hostname == "127.0.0.1"
    )
    wrong = "" if near else f"{parts.hostname} is asked in plain text"
    if "ssl_cert_reqs" in parts.query or "ssl_check_hostname" in parts.query:
        wrong = "the URL changes how its certificate is looked at"
    return Point(
        area, "the way to it is encrypted, or leaves neither machine nor container network", wrong, "rediss://"
    )


def _ledger_memory(told: dict[str, Any]) -> Iterator[Point]:
    policy = told.get("maxmemory_policy", "")
    wrong = "" if policy == "noeviction" else f"maxmemory-policy is {policy}: messages and rows get lost in silence"
    yield Point("ledger", "nothing is evicted", wrong, "maxmemory-policy noeviction")
    yield _limit("ledger", told)
    limit, used = int(told.get("maxmemory") or 0), int(told["used_memory"])
    full = bool(limit) and used > FULL_AT * limit
    wrong = f"{used / limit:.0%} of its {limit / 2**20:.0f} MiB are used, and nothing new is planned" if full else ""
    yield Point("ledger", "there is room", wrong, "more memory, or fewer rows (ANP_KEEP_ROWS)")
    wrong = "" if told.get("aof_enabled") else "appendonly is off: a restart forgets every run"
    yield Point("ledger", "what it answered is on disk", wrong, "appendonly yes")
    failed = told.get("aof_last_write_status") != "ok" or told.get("aof_last_bgrewrite_status") != "ok"
    wrong = "its append-only file could not be written" if told.get("aof_enabled") and failed else ""
    yield Point("ledger", "the last write to disk went well", wrong, "the disk: space and rights")


def _cache_memory(told: dict[str, Any]) -> Iterator[Point]:
    policy = str(told.get("maxmemory_policy", ""))
    wrong = "" if "lfu" in policy or "lru" in policy else f"maxmemory-policy is {policy}: a full cache refuses pages"
    yield Point("cache", "what is used least makes room", wrong, "maxmemory-policy allkeys-lfu")
    yield _limit("cache", told)
    wrong = "appendonly is on: each page is written to disk" if told.get("aof_enabled") else ""
    yield Point("cache", "nothing is kept on disk", wrong, 'appendonly no, save ""')


def _limit(area: str, told: dict[str, Any]) -> Point:
    wrong = "" if int(told.get("maxmemory") or 0) else "maxmemory is not set: it grows until the kernel ends it"
    return Point(area, "its memory has a limit", wrong, "maxmemory, below the container's limit")


def _apart(url: str, ledger_url: str) -> Point:
    what = "the cache is another server than the ledger"
    ids = []
    for address in (url, ledger_url):
        client = connect(address, timeout=3, retries=0)
        try:
            ids.append(client.info("server")["run_id"])
        except (RedisError, AnpError) as error:
            return Point("cache", what, str(error), "both must answer")
        finally:
            client.close()
    wrong = "they are one server: emptying the cache, or filling it, touches messages" if ids[0] == ids[1] else ""
    return Point("cache", what, wrong, "a Redis of its own for ANP_CACHE_URL")
