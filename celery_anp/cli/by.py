"""Who answers for what a command does: as `--by` says, else the user of this process."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

By = Annotated[str, typer.Option("--by", help="Who answers for it; you, unless you say otherwise.")]


def operator(by: str) -> str:
    """Who answers: as given, else the user of this process."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"
