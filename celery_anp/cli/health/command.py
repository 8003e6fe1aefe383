"""`anp health`, where it is called with more than the name of a part."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from celery_anp.cli.health.parts import check
from celery_anp.cli.printing import AsJson

Part = Literal["redis", "worker", "beat", "flower", "site", "metrics"]


def health(part: Annotated[Part, typer.Argument(help="What to look at.")], json: AsJson = False) -> None:
    """Tell whether one part works: Redis takes a write, a worker here lives, beat decides ticks, the pages answer.

    Exit code 0 if it does, else 1. Example: `anp health worker`
    """
    if not check(part, as_json=json):
        raise typer.Exit(1)
