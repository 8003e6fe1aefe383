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
        **settings: of its processes, by lower-case name.
    """

    def __init__(self, folder: Path, server: RedisServer, proxy: Proxy, **settings: str) -> None:
        super().__init__(folder, server.url, settings)
        self.server = server
        self.proxy = proxy

    def start(self, name: str, *arguments: str, **settings: str) -> Process:
        """Start a process behind its link."""
        port = self.proxy.port(name)
        url = self.server.url.replace(f"{HOST}:{self.server.port}", f"{HOST}:{port}")
        return super().start(name, *arguments, redis_url=url, **settings)
