"""What Redis is asked, as MONITOR tells it."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from redis import Redis

#: Said by us when we have heard enough.
END = "bench:end"


class Overheard:
    """Counts commands while it is open: `tcp` came from a client, `lua` from a script.

    Args:
        url: the Redis.
    """

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, decode_responses=True)
        self._teller = Redis.from_url(url)
        self.counted: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._teller.echo(END)
        for heard in self._monitor.listen():
            if heard["command"] == f"ECHO {END}":
                break
            self.counted["lua" if heard["client_type"] == "lua" else "tcp"] += 1
        self._monitor.__exit__(None, None, None)
        self._client.close()
        self._teller.close()
