"""Serve the demo site: `python -m worker.demo --port 8000`.

In containers it makes its database first, and its schedules are live while it is served:
`python -m worker.demo --seed --schedules site.toml --into FOLDER`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from celery_anp.errors import AnpError
from worker.demo import content
from worker.demo.dropin import lying_in
from worker.demo.site import DemoSite
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
    parser.add_argument("--seed", action="store_true", help="make the database if it is empty; plan posts anew")
    parser.add_argument("--schedules", type=Path, help="file of schedules that are live while the site is served")
    parser.add_argument("--into", type=Path, help="folder that every beat reads, for a copy of that file")
    wanted = parser.parse_args()
    if (wanted.schedules is None) != (wanted.into is None):
        parser.error("--schedules and --into go together")
    # uvicorn sends itself the signal once more when it has stopped; by default that would leave the schedules behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with ExitStack() as while_served:
            if wanted.seed:
                content.seed(settings().database_url).dispose()
            if wanted.schedules:
                while_served.enter_context(lying_in(wanted.into, wanted.schedules))
            serve(wanted.host, wanted.port)
    except SQLAlchemyError as error:
        print(f"The site's database cannot be made: {error}", file=sys.stderr)  # noqa: T201  a command line answers
        return 1
    except AnpError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line answers
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
