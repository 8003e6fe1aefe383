"""TCP ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
#: Ports that are given out: below those that Linux gives to outgoing connections (32768 and up), so that a connection
#: of somebody else does not take a port between its choice and its use.
LOWEST, HIGHEST = 20_000, 32_000
TRIES = 200

#: Names in this machine's list of sockets that stand for wishes of ours; gone with this process.
_claims: list[socket.socket] = []


def free(wish: int = 0) -> int:
    """A port that nobody listens on now; another server may still take it before it is used.

    Args:
        wish: the port to take if it is free and no process of ours has wished for it; 0 for any.

    Returns:
        The port's number.
    """
    for port in _candidates(wish):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {HOST}")


def _candidates(wish: int) -> Iterator[int]:
    if wish and _claim(wish):
        yield wish
    drawn = random.SystemRandom()
    for _ in range(TRIES):
        yield drawn.randint(LOWEST, HIGHEST)
    yield 0


def _claim(wish: int) -> bool:
    """Whether no other process of ours wished for a port: it may be about to listen on it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0anp-port-{wish}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
