"""Serve the demo site: `python -m worker.demo --port 8000`."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from worker.demo.site import DemoSite
from worker.errors import AnpError
from worker.settings import settings


def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way get five seconds.

    Args:
        host: address to listen on.
        port: port to listen on.

    Raises:
        BadSetting: the database is not there.
        Refused: the cache is the broker's Redis.
    """
    app = DemoSite(settings()).app()
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", server_header=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run()


def main() -> int:
    """The command line; 0 after a stop that was asked for, 2 when the settings cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m worker.demo", description="Serve the demo site.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    wanted = parser.parse_args()
    try:
        serve(wanted.host, wanted.port)
    except AnpError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line answers
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
