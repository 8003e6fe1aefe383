"""A stack whose connections a test cuts, refuses or swallows, process by process."""

from __future__ import annotations

from pathlib import Path

from celery_anp.local.embedded.server import RedisServer
from celery_anp.process.port import HOST
from tests.support.proxy import Proxy
from tests.support.stack import Process, Stack


class LinkedStack(Stack):
    """A stack whose processes each have a link of their own to Redis.

    Args:
        folder: for logs and the journal.
        server: the Redis.
        proxy: where the links are.
        hash_seed: of the first process; each further one has the next, so that sets are in another order in each.
        **settings: of its processes, by lower-case name.
    """

    def __init__(self, folder: Path, server: RedisServer, proxy: Proxy, *, hash_seed: int = 0, **settings: str) -> None:
        super().__init__(folder, server.url, settings)
        self.hash_seed = hash_seed
        self.server = server
        self.proxy = proxy

    def start(self, name: str, *arguments: str, **settings: str) -> Process:
        """Start a process behind its link."""
        self.variables["PYTHONHASHSEED"] = str(self.hash_seed + len(self.processes))
        port = self.proxy.port(name)
        url = self.server.url.replace(f"{HOST}:{self.server.port}", f"{HOST}:{port}")
        return super().start(name, *arguments, redis_url=url, **settings)
