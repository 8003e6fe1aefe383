"""A master, a replica and three sentinels: real processes of the embedded Redis, on free ports."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from celery_anp.local.embedded.binary import find_server
from celery_anp.local.embedded.server import LEDGER, RedisServer
from celery_anp.process import bound, port
from tests.support.eventually import eventually
from worker.settings import settings

SERVICE, PASSWORD = "ledger", "watched0123456789"
#: Milliseconds after which a silent master is down for a sentinel, and that a failover may take.
DOWN, FAILOVER = 1000, 5000


@dataclass
class Watched:
    """The five of them; all gone when it is left."""

    folder: Path
    #: What the sentinels themselves want; empty for nothing.
    password: str = ""
    sentinels: list[tuple[int, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        replication = {**LEDGER, "masterauth": PASSWORD, "requirepass": PASSWORD}
        self.master = self._stack.enter_context(RedisServer(self.folder / "a", replication, password=PASSWORD))
        follows = {**replication, "replicaof": f"127.0.0.1 {self.master.port}"}
        self.replica = self._stack.enter_context(RedisServer(self.folder / "b", follows, password=PASSWORD))
        for number in range(3):
            self._watch(number)
        eventually(self._all_know, 30, "the sentinels to know each other and the replica")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, process in self.sentinels:
            process.kill()
            process.wait()
        self._stack.close()

    @property
    def url(self) -> str:
        """As ANP_REDIS_URL has it."""
        hosts = ";".join(f"127.0.0.1:{number}" for number, _ in self.sentinels)
        return f"sentinel://:{PASSWORD}@{hosts}/0?service={SERVICE}"

    def kill_master(self) -> None:
        """kill -9; it does not come back."""
        assert self.master.pid
        os.kill(self.master.pid, signal.SIGKILL)

    def _watch(self, number: int) -> None:
        own = port.free()
        config = self.folder / f"sentinel{number}.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {own}\ndaemonize no\ndir {self.folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN}\n"
            f"sentinel failover-timeout {SERVICE} {FAILOVER}\n"
            + (f"requirepass {self.password}\n" if self.password else ""),
            encoding="utf-8",
        )
        program = find_server(settings().redis_server)
        with (self.folder / f"sentinel{number}.log").open("wb") as output:
            process = bound.start([str(program), str(config), "--sentinel"], output=output, cwd=self.folder)
        self.sentinels.append((own, process))

    def _all_know(self) -> bool:
        for number, _ in self.sentinels:
            login = {"port": number, "password": self.password or None}
            with suppress(RedisError), Redis(**login, decode_responses=True) as client:
                told = client.sentinel_master(SERVICE)
                if told["num-other-sentinels"] == 2 and told["num-slaves"] == 1:
                    continue
            return False
        return True
