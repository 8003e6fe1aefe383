"""Waiting for the end of a run."""

from __future__ import annotations

import time

import typer

from celery_anp.cli import printing
from celery_anp.cli.story import outcome
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.run import Run

#: Seconds between two looks.
PAUSE = 0.2
#: Seconds until it is said that nobody is there to do the work.
PATIENCE = 5.0


def follow(ledger: Ledger, run_id: str) -> Run:
    """Wait until a run is final.

    Args:
        ledger: where the run is.
        run_id: its id.

    Returns:
        The run as it ended.

    Raises:
        UnknownName: there is no such run.
    """
    begun, said = time.monotonic(), False
    while not (run := ledger.run(run_id)).final:
        if not said and time.monotonic() - begun > PATIENCE:
            said = True
            if not any(node.kind == "worker" for node in ledger.nodes()):
                printing.note("no worker is alive, so nothing runs; `anp worker` starts one. Ctrl-C stops the waiting")
        time.sleep(PAUSE)
    return run


def tell_end(run: Run, *, json: bool) -> None:
    """Print how a run ended; exits with 1 unless it succeeded as expected."""
    if json:
        printing.as_json(run.public())
    else:
        printing.say(f"{run.run_id} {run.state}: {outcome(run) or run.reason}")
    if run.state != "succeeded" or run.as_expected is False:
        raise typer.Exit(1)
