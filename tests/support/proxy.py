"""A TCP proxy whose links a test cuts, refuses or swallows.

Swallowing keeps what was sent and hands it on when the link is healed, as a network does that lost packets for a while
and sends them again: no reset is seen meanwhile, and commands may reach Redis long after their sender has given up.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from celery_anp.process.port import HOST

#: Bytes read at once.
PART = 65_536


class Link:
    """One listening port that leads to the target.

    Args:
        name: who connects through it.
        target: port of the target, on loopback.
    """

    def __init__(self, name: str, target: int) -> None:
        self.name = name
        self.target = target
        self.port = 0
        self.refusing = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.open: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Take a free port."""
        self.server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = int(self.server.sockets[0].getsockname()[1])

    async def cut(self, refuse: bool) -> None:
        """Reset every connection, and refuse new ones or not."""
        self.refusing = refuse
        for writer in list(self.open):
            _reset(writer)

    async def swallow(self) -> None:
        """Hold everything in both directions."""
        self.flowing.clear()

    async def heal(self) -> None:
        """Everything passes again, first what was held."""
        self.refusing = False
        self.flowing.set()

    async def close(self) -> None:
        """End it with its connections."""
        self.server.close()
        await self.cut(refuse=True)
        for task in list(self.tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            return _reset(writer)
        try:
            far_reader, far = await asyncio.open_connection(HOST, self.target)
        except OSError:
            return _reset(writer)
        self.open |= {writer, far}
        for source, sink in ((reader, far), (far_reader, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return None

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await source.read(PART):
                await self.flowing.wait()
                sink.write(part)
                await sink.drain()
            await self.flowing.wait()
        self.open.discard(sink)
        sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    if isinstance(writer.transport, asyncio.Transport):
        # Closed with a reset and without sending what is left, as a firewall does.
        sock = writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()


class Proxy:
    """Links to one target, served by a thread; also a context manager that ends them.

    Args:
        target: port of the target, on loopback.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.links: dict[str, Link] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self.links.values():
            self._do(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def port(self, name: str) -> int:
        """The port that one client connects to; made on first use."""
        if name not in self.links:
            self.links[name] = Link(name, self.target)
            self._do(self.links[name].listen())
        return self.links[name].port

    def cut(self, *names: str, refuse: bool = False) -> None:
        """Reset the connections of some clients, or of all; with `refuse`, new ones too until `heal`."""
        for link in self._chosen(names):
            self._do(link.cut(refuse))

    def swallow(self, *names: str) -> None:
        """Let nothing through for some clients, or for all, and reset nothing, until `heal`."""
        for link in self._chosen(names):
            self._do(link.swallow())

    def heal(self, *names: str) -> None:
        """Let everything through again."""
        for link in self._chosen(names):
            self._do(link.heal())

    def _chosen(self, names: tuple[str, ...]) -> list[Link]:
        return [self.links[name] for name in names or self.links]

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=5)
