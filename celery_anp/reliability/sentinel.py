"""A Redis behind sentinels, as one URL: `sentinel://user:password@host:port;host:port/db?service=name`.

User, password and database are those of Redis itself; ANP_SENTINEL_PASSWORD is what the sentinels want, where they do.
Limit: sentinels, and a Redis behind them, are asked in plain text.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from celery_anp.errors import BadSetting

SCHEME = "sentinel://"
#: The name that sentinels give to the Redis they watch, unless the URL says another.
SERVICE = "mymaster"
PORT = 26379


@dataclass(frozen=True, slots=True)
class Address:
    """What such a URL says."""

    hosts: tuple[tuple[str, int], ...]
    user: str | None
    password: str | None
    database: int
    service: str

    def kombu(self) -> str:
        """The URL as kombu and Celery's result backend write it; they get the service's name as an option."""
        login = ""
        if self.password is not None:
            login = f"{quote(self.user or '', safe='')}:{quote(self.password, safe='')}@"
        return ";".join(f"{SCHEME}{login}{host}:{port}/{self.database}" for host, port in self.hosts)


def is_sentinel(url: str) -> bool:
    """Whether a URL names sentinels."""
    return url.startswith(SCHEME)


def parse(url: str) -> Address:
    """Read a URL, in our form or in kombu's.

    Args:
        url: begins with `sentinel://`.

    Returns:
        What it says.

    Raises:
        BadSetting: it cannot be read; its password is not shown.
    """
    rest, _, query = url.partition("?")
    hosts: list[tuple[str, int]] = []
    user = password = None
    database = "0"
    for part in rest.split(";"):
        place, _, path = part.removeprefix(SCHEME).partition("/")
        login, _, host = place.rpartition("@")
        if login:
            user, _, password = (unquote(word) for word in login.partition(":"))
        database = path or database
        name, _, port = host.rpartition(":") if ":" in host else (host, "", str(PORT))
        if not name or not port.isdecimal():
            raise _unreadable(part.rpartition("@")[2])
        hosts.append((name, int(port)))
    if not database.isdecimal():
        raise _unreadable(f"/{database}")
    service = parse_qs(query).get("service", [SERVICE])[0]
    return Address(tuple(hosts), user or None, password, int(database), service)


def _unreadable(given: str) -> BadSetting:
    expected = f"{SCHEME}user:password@host:port;host:port/db?service=name"
    return BadSetting("The URL of the sentinels cannot be read", expected=expected, given=given)
