"""`anp worker`, `anp beat`, `anp flower`, `anp metrics`: one process each, in the foreground."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from worker import log
from worker.settings import settings

FURTHER = {"allow_extra_args": True, "ignore_unknown_options": True}
#: Workers here learn of each other through the ledger.
WORKER_ARGUMENTS = ("--without-gossip", "--without-mingle")
#: What a worker takes unless it is told otherwise: all that our own tasks are sent to.
QUEUES = "--queues=default,imports"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (worker, beat, flower):
        app.command(context_settings=FURTHER)(command)
    app.command()(metrics)


def worker(context: typer.Context) -> None:
    """Run tasks: of the queues `default` and `imports`, unless --queues says which. Further arguments go to Celery.

    Example: `anp worker --concurrency=4 --queues=default,mail`
    """
    with suppress(OSError):  # there is no state folder, or not ours: `content.import` says so when it is asked
        (settings().imports or settings().state / "imports").mkdir(mode=0o750, exist_ok=True)
    chosen = any(word.startswith(("-Q", "--queues")) for word in context.args)
    _celery("worker", *WORKER_ARGUMENTS, *(() if chosen else (QUEUES,)), *context.args)


def beat(context: typer.Context) -> None:
    """Plan the ticks of every schedule; any number may run at once. Further arguments go to Celery's beat.

    Example: `anp beat`
    """
    _celery("beat", "--scheduler", "schedules.beat:Scheduler", *context.args)


def flower(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="TCP port.", min=0, max=65535)] = 5555,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    control: Annotated[bool, typer.Option("--control", help="Let the pages change things.")] = False,
) -> None:
    """Serve the Flower pages. Needs ANP_FLOWER_PASSWORD. Further arguments, as --name=value, go to Flower.

    Example: `anp flower --port 5556`
    """
    from worker.app import app
    from worker.flower.serve import serve

    serve(app, settings(), port=port, address=address, control=control, further=context.args)


def metrics(
    port: Annotated[int, typer.Option(help="TCP port.", min=0, max=65535)] = 9808,
    address: Annotated[str, typer.Option(help="Address to listen on; there is no password.")] = "127.0.0.1",
) -> None:
    """Serve metrics of the ledger for Prometheus. A Redis user that may only read will do.

    Example: `anp metrics --port 9808`, then http://127.0.0.1:9808/metrics
    """
    from worker.metrics import serve
    from worker.reliability.ledger import Ledger

    serve(Ledger.connect(settings()), address, port)


def _celery(*arguments: str) -> None:
    from worker.app import app

    log.take_over()
    app.start(argv=list(arguments))
