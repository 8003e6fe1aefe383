"""Which addresses a download may go to: public ones, judged after the name is resolved, and connected to as judged.

A name that answers with another address a moment later gains nothing: what was judged is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from celery_anp.errors import BadSource

Judge = Callable[[str], bool]
#: Its last 32 bits are an IPv4 address.
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address is on the public Internet, and no private one in disguise."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        teredo = found.teredo[1] if found.teredo else None
        inner = found.ipv4_mapped or found.sixtofour or teredo
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


class Judged(httpcore.NetworkBackend):
    """Connects only where the judge allows it.

    Args:
        judge: whether a resolved address may be connected to.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve the name, judge every address it has, connect to the first.

        Raises:
            BadSource: one of them is not public, or the name has none.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise BadSource(f"The host {host!r} has no address", given=str(error), retry_safe=True) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not self._judge(address):
                raise BadSource(
                    f"The host {host!r} may not be asked", expected="a public address", given=f"it is {address}"
                )
        return self._plain.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    def connect_unix_socket(self, path: str, *_options: Any, **_named: Any) -> Any:
        """No source is a local socket."""
        raise BadSource("A source is no local socket", given=path)
