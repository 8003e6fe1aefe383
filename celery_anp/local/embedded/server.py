"""One Redis process that is a child of ours, on loopback, with its files in a private folder.

It dies with us (see `process.bound`), and a lock on its folder is held by us *and* by it, so that two processes never
open one append-only file at once, not even while one of them is still dying.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from celery_anp.errors import AnpError, BadSetting, LedgerUnavailable
from celery_anp.local.embedded.binary import find_server, version
from celery_anp.local.embedded.folder import own
from celery_anp.process import bound
from celery_anp.process.port import HOST, free
from celery_anp.reliability.keyspace import OLDEST
from celery_anp.settings import settings

#: Another process may take a free port between our look and Redis' bind.
PORT_TRIES = 5
#: Nothing is lost when Redis or the machine's process table dies; at most 2 s when the machine does.
LEDGER = {
    "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
    "hash-max-ziplist-value": "4096",  # a row with its message in one piece: less than half the memory
}  # fmt: skip
CACHE = {"appendonly": "no", "maxmemory": "128mb", "maxmemory-policy": "allkeys-lfu"}


class RedisServer:
    """A Redis child process; also a context manager that starts and stops it.

    Args:
        folder: where its files are; made with mode 700 if missing.
        config: further lines of redis.conf.
        port: TCP port; None takes a free one, and keeps it when it is started again.
        server: the program; None takes the one that ANP_REDIS_SERVER names, or looks for one.
        password: what clients must say; None makes one.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, str],
        *,
        port: int | None = None,
        server: Path | None = None,
        password: str | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.config = dict(config)
        self.port = port or 0
        self._given_port = port
        self._server = server
        self._password = password or secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @classmethod
    def ledger(cls, folder: Path, *, port: int | None = None, server: Path | None = None) -> Self:
        """A Redis for broker and ledger: append-only, evicts nothing."""
        return cls(folder, LEDGER, port=port, server=server)

    @classmethod
    def cache(cls, folder: Path) -> Self:
        """A Redis for the site's cache: keeps nothing on disk, evicts what is least used."""
        return cls(folder, CACHE)

    @property
    def url(self) -> str:
        """`redis://` URL of database 0, with the password; valid while it runs."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def alive(self) -> bool:
        """Whether the process is there; says nothing about whether it answers."""
        return self.pid is not None

    def start(self, timeout: float = 20.0) -> Self:
        """Start it and wait until it answers.

        Args:
            timeout: seconds for the folder's lock, and again for the first answer.

        Returns:
            Itself.

        Raises:
            BadSetting: the folder cannot be written, or the given port is in use.
            AnpError: another process holds the folder, or there is no fit server program.
            LedgerUnavailable: it ended or did not answer in time; says what it logged last.
        """
        if self.alive:
            return self
        if self._lock is None:
            self._lock = own(self.folder, timeout)
        try:
            server = self._fit_server()
            for left in reversed(range(PORT_TRIES)):
                if self._try_port(server, timeout, last=left == 0 or self._given_port is not None):
                    self._given_port = self.port  # whoever uses us knows us by it
                    return self
        except BaseException:
            self.stop()
            raise
        raise AssertionError("the last try raises")

    def stop(self, grace: float = 10.0) -> None:
        """End it and free its folder; does nothing if it does not run.

        Args:
            grace: seconds between SIGTERM (it writes its file to disk) and SIGKILL.
        """
        if self._process is not None:
            bound.end(self._process, grace)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def client(self) -> Redis:
        """A client that tries each command once, for 1 s at most."""
        return Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1.0, socket_connect_timeout=1.0)

    def _fit_server(self) -> Path:
        server = self._server or find_server(settings().redis_server)
        found = version(server)
        if found < OLDEST:
            what = "This Redis is too old" if found else "This is no Redis server that can be started"
            told = ".".join(map(str, found)) or "no version"
            raise AnpError(what, expected="6.2 or newer", given=f"{server} says {told}")
        if (self.folder / "appendonlydir").exists() and found < (7,):
            # 6.2 does not know the folder: it would begin with an empty ledger and say nothing
            raise AnpError(
                "The state folder was written by a newer Redis",
                expected="Redis 7 or newer, or another state folder",
                given=f"{server} in {self.folder}",
            )
        return server

    def _try_port(self, server: Path, timeout: float, *, last: bool) -> bool:
        self.port = self._given_port or free()
        log = self.folder / "redis.log"
        with log.open("wb") as output:
            self._process = bound.start(
                [str(server), str(self._written_config())],
                output=output,
                cwd=self.folder,
                pass_fds=[self._lock] if self._lock is not None else [],
            )
        if self._answers(timeout):
            return True
        said = log.read_text(errors="replace")
        running = self._process.poll() is None
        if not last and "Address already in use" in said:
            return False
        if self._given_port and "Address already in use" in said:
            raise BadSetting(f"Port {self.port} is in use", expected="a free port", given=str(self.port))
        end = "did not answer in time" if running else f"ended with code {self._process.returncode}"
        raise LedgerUnavailable(
            f"The embedded Redis {end}", expected=f"an answer within {timeout:g} s", given=_last_line(said)
        )

    def _written_config(self) -> Path:
        lines = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": f'"{self.folder}"',
            "daemonize": "no",
            "save": '""',
            **self.config,
        }
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in lines.items()), encoding="utf-8")
        return path

    def _answers(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self.client() as client:
            while self.alive and time.monotonic() < deadline:
                try:
                    # The pid tells our Redis from one that took the port before it.
                    if client.info("server")["process_id"] == self.pid:
                        return True
                except RedisError:
                    pass
                time.sleep(0.02)
        return False


def _last_line(text: str) -> str:
    return (text.strip() or "nothing in its log").splitlines()[-1]
