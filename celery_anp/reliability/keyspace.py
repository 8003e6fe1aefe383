"""The ledger's keys on one Redis, whatever client reaches it, and the scripts that run there.

Every change of several keys is one script. Scripts are replayable: a client sends a command again by itself when an
answer is lost. Two reach it: `store` on redis-py, for processes that stay; `direct`, for commands that come and go.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

from celery_anp.errors import BadRequest, LedgerFull, LedgerUnavailable

#: The oldest Redis that the scripts run on.
OLDEST = (6, 2)
#: Seconds that a command may take before its connection counts as lost.
TIMEOUT = 5.0
#: The folders of the scripts: the shared files, then by what a script is about.
ROOMS = ("lib", "runs", "nodes", "schedules", "outbox")
#: What every script is put behind, each file after those that it uses.
SHARED = ("base", "alarms", "index", "results", "keeping", "ending", "lock", "nodes", "sending")
#: Scripts that plan rows share one more piece.
PLANNING = frozenset({"plan", "tick", "backfill"})
#: Upper ends of the buckets of lateness, in milliseconds; beyond the last one it is `inf`. Metrics read them too.
LATE = (100, 500, 1000, 5000, 15000, 60000, 300000)
#: Part of Redis' memory limit at which nothing new is planned.
FULL_AT = 0.8
#: What Python gives to the scripts, before their first file.
GIVEN = f"local LATE = {{ {', '.join(map(str, LATE))} }}\nlocal FULL_AT = {FULL_AT}"
#: A Redis that answers and does nothing for now, as it says so. Redis 6.2 wraps what a script says:
#: "Error running script (…): @user_script: 9: -READONLY You can't …".
NOT_NOW = re.compile(r"(?:^|: -)(?:BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY) ")
#: What only a Redis says that is a cluster.
CLUSTERED = re.compile(
    r"(?:^|: -)(?:ASK|CLUSTERDOWN|CROSSSLOT|MOVED|TRYAGAIN) |in cluster mode|access a non local key in a cluster"
)
#: Bytes that are no UTF-8, in keys and values: read as half letters, and written as the same bytes again.
HALVES = "surrogateescape"
SCRIPTS = Path(__file__).with_name("scripts")


def parts_of(name: str) -> tuple[str, ...]:
    """The files that a script is put together from, itself the last."""
    return (*SHARED, *(("planning",) if name in PLANNING else ()), name)


def part_text(part: str) -> str:
    """One file of the scripts; its name, without `.lua`, stands in one folder only."""
    (file,) = (file for room in ROOMS if (file := SCRIPTS / room / f"{part}.lua").is_file())
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


def fresh() -> str:
    """A token that nobody else has: with it a script knows a request that is sent again."""
    return os.urandom(16).hex()


class Keyspace(ABC):
    """Runs the ledger's scripts and reads its keys.

    Args:
        client: what reaches Redis.
        prefix: first part of every key, without the colon.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self.client = client
        self.prefix = f"{prefix}:ledger:"

    def key(self, name: str) -> str:
        """The full name of one of the ledger's keys."""
        return self.prefix + name

    @property
    @abstractmethod
    def database(self) -> int:
        """The number of the Redis database."""

    @abstractmethod
    def separate(self, timeout: float = TIMEOUT) -> Self:
        """The same for one thread: a connection of its own, and no command sent twice.

        Args:
            timeout: seconds for connecting and for each command.
        """

    @abstractmethod
    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """Run a script.

        Args:
            name: the script's file name without `.lua`.
            *arguments: its ARGV.

        Returns:
            What the script answers.

        Raises:
            LedgerFull: Redis is near its memory limit.
            BadRequest: Redis cannot do this.
            LedgerUnavailable: Redis did not answer, is too old, or refused us.
        """

    def scripts(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Scripts of which none needs another's answer, in one round trip where the client can.

        Args:
            calls: each as `call` takes it.

        Returns:
            Their answers. Where one fails the others have run all the same, and what they answered is not told.

        Raises:
            LedgerUnavailable: as `call`, the first failure.
        """
        return [self.call(*one) for one in calls]

    def read(self, command: str, *arguments: Any) -> Any:
        """One plain command, with the ledger's errors.

        Args:
            command: a method of `redis.Redis`, e.g. `hgetall`.
            *arguments: its arguments.

        Returns:
            Its answer.

        Raises:
            BadRequest: Redis cannot do this.
            LedgerUnavailable: Redis did not answer or refused us.
        """
        return self.several([(command, *arguments)])[0]

    @abstractmethod
    def several(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Plain commands in one round trip; each as `read` takes it.

        Raises:
            BadRequest: Redis cannot do this.
            LedgerUnavailable: Redis did not answer or refused us.
        """

    def rows(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Several hashes in one round trip, in the order asked for."""
        return self.several([("hgetall", key) for key in keys])

    def fields(self, keys: Sequence[str], *names: str) -> list[dict[str, str]]:
        """Some fields of several hashes in one round trip, in the order asked for; what is not there is empty."""
        found = self.several([("hmget", key, *names) for key in keys])
        return [{name: value or "" for name, value in zip(names, values, strict=True)} for values in found]

    def check_server(self) -> str:
        """The version of the server.

        Returns:
            Its version, e.g. `8.0.1`.

        Raises:
            LedgerUnavailable: it does not answer, is older than 6.2, or is a cluster.
        """
        told = self.read("info", "server")
        version = str(told["redis_version"])
        if is_cluster(told):
            raise clustered("redis_mode is cluster")
        if too_old(version):
            raise LedgerUnavailable(
                "This Redis is too old", expected="Redis 6.2 or newer", given=version, retry_safe=False
            )
        return version


def too_old(version: str) -> bool:
    """Whether a Redis of this version, such as `8.0.1`, lacks what the scripts need."""
    return tuple(int(part) for part in version.split(".")[:2]) < OLDEST


def is_cluster(told: Mapping[str, Any]) -> bool:
    """Whether a server whose `INFO` this is spreads its keys over several: a script, and kombu, need all on one."""
    return str(told.get("redis_mode")) == "cluster"


# -- Redis' refusals in the ledger's words --------------------------------------------------------------------------


def full() -> LedgerFull:
    """It is near its memory limit."""
    return LedgerFull(
        "Redis is near its memory limit, so nothing new is planned",
        expected="less than 80 % of maxmemory in use",
        given="`anp status` shows it; raise maxmemory or keep fewer rows (ANP_KEEP_ROWS)",
    )


def refused(given: str) -> LedgerUnavailable:
    """It does not let us in, or not do this."""
    expected = "a user with the rights that deploy/redis grants"
    return LedgerUnavailable("Redis refused us", expected=expected, given=given, retry_safe=False)


def silent(given: str) -> LedgerUnavailable:
    """It does not answer."""
    return LedgerUnavailable(
        "Redis does not answer",
        expected="one where ANP_REDIS_URL or the app's broker is, or a running `anp up`",
        given=given,
    )


def clustered(given: str) -> LedgerUnavailable:
    """It is a cluster."""
    return LedgerUnavailable(
        "This Redis is a cluster, which neither Celery nor the ledger's scripts can use",
        expected="one Redis (cluster-enabled no), with sentinels where it shall fail over",
        given=given,
        retry_safe=False,
    )


def said_no(given: str) -> LedgerUnavailable:
    """It answered with an error that is about neither memory nor rights: it is a cluster, busy, or cannot do this."""
    if CLUSTERED.search(given):
        return clustered(given)
    return not_now(given) if NOT_NOW.search(given) else impossible(given)


def not_now(given: str) -> LedgerUnavailable:
    """It answers, and does nothing for now."""
    expected = "a master that is not busy, with room in memory and on its disk"
    return LedgerUnavailable("Redis does nothing for us now", expected=expected, given=given)


def impossible(given: str) -> BadRequest:
    """It does not do this at all."""
    return BadRequest("Redis could not do what was asked", given=given)
