"""TCP ports on loopback."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free(wish: int = 0) -> int:
    """A port that nobody listens on now; somebody may take it before it is used.

    Args:
        wish: the port to take if it is free; 0 for any.

    Returns:
        The port's number.
    """
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {HOST}")
