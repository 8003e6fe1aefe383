"""Where `anp` begins: what health checks and pipelines ask for all the time takes a short way, past typer.

How an error becomes a message and an exit code, for every command: 0 fine, 1 a problem was found or the thing failed,
2 bad usage or input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from celery_anp.errors import AnpError, BadUsage


def main() -> None:
    """Run the command line of this process and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # else one letter that it cannot show hides all other runs
    try:
        _refuse_half_letters(sys.argv[1:])
        _run(sys.argv[1:])
    except AnpError as error:
        sys.stderr.write(f"anp: {error}\n")
        sys.exit(2 if isinstance(error, BadUsage) else 1)
    except Exception as error:
        import logging

        sys.stderr.write(f"anp: {type(error).__name__}: {error}\n")
        if logging.getLogger().level == logging.DEBUG:
            raise
        sys.stderr.write("anp: this was not foreseen. ANP_LOG_LEVEL=DEBUG shows where it happened.\n")
        sys.exit(1)


def _run(words: Sequence[str]) -> None:
    """Only the very words that need no reading; `anp health --help`, or a wrong part, is typer's."""
    match words:
        case ["--version"]:
            from celery_anp.cli.version import tell

            tell()
        case ["health", part, *further] if further in ([], ["--json"]):
            _health(part, words)
        case _:
            _command_line()


def _refuse_half_letters(words: Sequence[str]) -> None:
    """What is no text can neither be kept nor shown: no option takes it, whatever it is for."""
    for word in words:
        if any("\ud800" <= sign <= "\udfff" for sign in word):
            given = ascii(os.fsencode(word))
            raise BadUsage("The command line cannot be read", expected="text in UTF-8", given=given)


def _health(part: str, words: Sequence[str]) -> None:
    from celery_anp.cli.health.parts import PARTS, check

    if part not in PARTS:
        _command_line()
    elif not check(part, as_json="--json" in words):
        sys.exit(1)


def _command_line() -> None:
    from celery_anp.cli.main import app

    app()
