"""`anp status`: four answers."""

from __future__ import annotations

from contextlib import ExitStack
from http.client import HTTPException
from typing import Annotated, Any

import typer

from celery_anp.cli import page, printing
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger, running
from celery_anp.cli.schedules.overrides import in_force, seconds_of
from celery_anp.cli.status.answers import (
    Answer,
    are_runs_failing,
    did_the_release_change_anything,
    is_it_slow,
    is_it_up,
)
from celery_anp.errors import AnpError
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.nodes import unserved
from celery_anp.reliability.overrides import ITSELF
from celery_anp.reliability.unreadable import Unreadable
from celery_anp.settings import settings

#: Runs that are looked at.
MOST = 10_000


def status(
    window: Annotated[str, typer.Option(help='How far to look back: "15m", "1h", "1d".')] = "1h",
    json: AsJson = False,
) -> None:
    """Answer four questions: is it up, is it slow, are runs failing, did the last release change anything.

    Exit code 1 if any answer is bad. Example: `anp status --window 15m`
    """
    answers = _answers(seconds_of(window, "--window"))
    ok = all(answer.ok for answer in answers)
    if json:
        printing.as_json({"ok": ok, "window": window, "answers": [_public(answer) for answer in answers]})
    else:
        rows = [(answer.question + "?", "good" if answer.ok else "BAD", answer.said) for answer in answers]
        printing.table(("question", "answer", "because"), rows)
    if not ok:
        raise typer.Exit(1)


def _answers(seconds: int) -> list[Answer]:
    with ExitStack() as open_for_now:
        try:
            found = open_for_now.enter_context(ledger())
        except AnpError as error:
            return [is_it_up(str(error), [], "")]
        nodes = found.nodes()
        since = found.now() - seconds * 1000
        runs = found.runs(MOST, since=since)
        redis = "" if running() else "nothing runs; `anp up` starts it"
        return [
            is_it_up(redis, nodes, _site(), found.memory(), since, unserved(found.store, nodes)),
            is_it_slow(runs, found.backlog()),
            are_runs_failing(runs, *_troubled(found), Unreadable(found.store).kept()),
            did_the_release_change_anything(runs),
        ]


def _troubled(found: Ledger) -> tuple[dict[str, int], dict[str, str]]:
    """Who is late and overridden by nobody, and whom its own failures have paused."""
    overrides = in_force(found)
    late = {name: by for name, by in found.late().items() if name not in overrides}
    return late, {name: override.note for name, override in overrides.items() if override.by == ITSELF}


def _site() -> str:
    """Why the site that is named does not answer; empty if it does, or if none is named."""
    url = settings().site_url
    if not url:
        return ""
    try:
        answered, _ = page.look(url)
    except (OSError, HTTPException) as error:
        return f"the site at {url} does not answer ({type(error).__name__})"
    return "" if answered < 500 else f"the site at {url} answers {answered}"


def _public(answer: Answer) -> dict[str, Any]:
    return {"question": answer.question, "ok": answer.ok, "answer": answer.said, "facts": dict(answer.facts)}
