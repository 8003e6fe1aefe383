"""`anp db`: the queries that matter, explained on the site's database and compared with a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from celery_anp.cli import printing
from celery_anp.cli.printing import AsJson
from celery_anp.errors import BadUsage
from worker.settings import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from worker.site.queries.compare import Compared
    from worker.site.queries.declared import Query

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The database's care: explain, baseline, compare.")
Names = Annotated[list[str] | None, typer.Argument(metavar="[QUERY]...", help="Names of some; all without.")]


@app.command("explain")
def explain(names: Names = None, json: AsJson = False) -> None:
    """Show how the database answers the watched queries now: plan, what is read, time. Changes nothing.

    Example: `anp db explain front-page`
    """
    from worker.site.queries.explain import explain as ask

    engine, queries = _site(names)
    plans = ask(engine, queries)
    if json:
        printing.as_json([_public(plan.model_dump(mode="json"), plan.told()) for plan in plans])
        return
    printing.table(("query", "reads", "plan"), [(plan.query, plan.effort(), plan.told()) for plan in plans])


@app.command("baseline")
def baseline(names: Names = None, json: AsJson = False) -> None:
    """Keep the plans of now as those to compare with. Take it while all is well, on data like production's.

    Example: `anp db baseline`
    """
    from worker.site.queries import baseline as kept
    from worker.site.queries.explain import explain as ask

    engine, queries = _site(names)
    plans = ask(engine, queries)
    kept.keep(engine, plans)
    if json:
        printing.as_json([_public(plan.model_dump(mode="json"), plan.told()) for plan in plans])
        return
    printing.table(("query", "reads", "plan"), [(plan.query, plan.effort(), plan.told()) for plan in plans])
    printing.note(f"kept as the baseline of {len(plans)} queries")


@app.command("compare")
def compare(
    names: Names = None,
    note: Annotated[
        Path | None, typer.Option(help="Write a migration note with before and after to this file.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the note.")] = "Migration",
    json: AsJson = False,
) -> None:
    """Compare with the baseline: a full scan, a sort or ten times the rows is a finding, with the index to add.

    Exit code 1 if there is a finding. Example: `anp db compare --note deploy/notes/2026-11-25-index.md`
    """
    from worker.site.queries import baseline as kept
    from worker.site.queries.compare import compare as look

    engine, queries = _site(names)
    compared = look(engine, queries, kept.kept(engine))
    if note is not None:
        _write(note, title, engine, compared)
    if json:
        printing.as_json([_compared(one) for one in compared])
    else:
        _tell(compared)
    if any(one.findings for one in compared):
        raise typer.Exit(1)


def _site(names: Sequence[str] | None) -> tuple[Engine, list[Query]]:
    from worker.site.posts import Posts
    from worker.site.queries import declared

    known = settings()
    return Posts.connect(known).engine, declared.named(declared.declared(known.queries), names or [])


def _tell(compared: Sequence[Compared]) -> None:
    rows = []
    for one in compared:
        verdict = "worse" if one.findings else "fine" if one.before else "no baseline"
        rows.append((one.query, verdict, one.before.effort() if one.before else "-", one.now.effort()))
    printing.table(("query", "verdict", "baseline", "now"), rows)
    findings = [finding for one in compared for finding in one.findings]
    for finding in findings:
        printing.say(f"\n{finding.query}: {finding.kind}. It {finding.said}")
    mends = dict.fromkeys(finding.add for finding in findings if finding.add)
    for mend in mends:
        printing.say(f"\nTo mend it: {mend};")
    if any(not finding.add for finding in findings):
        printing.say("\nWhere no index is named, none that was used is missing: look at the data and the query.")
    if any(one.before is None for one in compared):
        printing.note("`anp db baseline` keeps what to compare with")


def _write(path: Path, title: str, engine: Engine, compared: Sequence[Compared]) -> None:
    from worker.site.queries.note import note

    text = note(title, engine.url.render_as_string(), compared, datetime.now(UTC))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadUsage("The note cannot be written", expected="a new file", given=f"{path}: {error.strerror}") from None
    printing.note(f"the note is in {path}; say in it why, and what is changed")


def _compared(one: Compared) -> dict[str, Any]:
    document = one.model_dump(mode="json")
    document["verdict"] = "worse" if one.findings else "fine" if one.before else "no baseline"
    return document


def _public(plan: dict[str, Any], told: str) -> dict[str, Any]:
    return {**plan, "told": told}
