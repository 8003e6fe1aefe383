"""`anp worker`, `anp beat`, `anp flower`, `anp metrics`: one process each, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from celery_anp import log
from celery_anp.cli import which_app
from celery_anp.errors import BadUsage
from celery_anp.settings import settings

#: Workers here learn of each other through the ledger.
WORKER_ARGUMENTS = ("--without-gossip", "--without-mingle")


def worker(context: typer.Context) -> None:
    """Run tasks: of the app's own queues, unless --queues says which. Further arguments go to Celery.

    Example: `anp worker --concurrency=4 --queues=default,mail`
    """
    queues = which_app.chosen().deployment.queues
    chosen = not queues or any(word.startswith(("-Q", "--queues")) for word in context.args)
    _celery("worker", *WORKER_ARGUMENTS, *(() if chosen else (f"--queues={','.join(queues)}",)), *context.args)


def beat(context: typer.Context) -> None:
    """Plan the ticks of every schedule; any number may run at once. Further arguments go to Celery's beat.

    Example: `anp beat`
    """
    _celery("beat", "--scheduler", "celery_anp.beat:Scheduler", *context.args)


def flower(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="TCP port.", min=0, max=65535)] = 5555,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    control: Annotated[bool, typer.Option("--control", help="Let the pages change things.")] = False,
) -> None:
    """Serve the Flower pages. Needs ANP_FLOWER_PASSWORD. Further arguments, as --name=value, go to Flower.

    Example: `anp flower --port 5556`
    """
    try:
        from celery_anp.screen.serve import serve
    except ModuleNotFoundError as missing:
        needed = "pip install 'celery-anp[flower]'"
        raise BadUsage("Flower is not installed", expected=needed, given=str(missing)) from None

    serve(which_app.chosen(), settings(), port=port, address=address, control=control, further=context.args)


def metrics(
    port: Annotated[int, typer.Option(help="TCP port.", min=0, max=65535)] = 9808,
    address: Annotated[str, typer.Option(help="Address to listen on; there is no password.")] = "127.0.0.1",
) -> None:
    """Serve metrics of the ledger for Prometheus. A Redis user that may only read will do.

    Example: `anp metrics --port 9808`, then http://127.0.0.1:9808/metrics
    """
    from celery_anp.cli.reach import known
    from celery_anp.metrics import serve
    from celery_anp.reliability.ledger import Ledger

    serve(Ledger.connect(known()), address, port)


def _celery(*arguments: str) -> None:
    app = which_app.chosen()
    log.take_over()
    app.start(argv=list(arguments))
