"""`anp cache compare`, `look` and `verify`: what warmings brought, and whether the right pages are declared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from celery_anp.cli import printing
from celery_anp.cli.printing import AsJson, Limit
from celery_anp.cli.reach import ledger
from celery_anp.errors import AnpError, BadInput
from worker.settings import settings

if TYPE_CHECKING:
    from celery_anp.reliability.run import Run

#: What is compared, its unit, and how it is shown.
FIGURES = ("p50_ms", "p95_ms", "error_rate", "hits", "misses", "database_calls")
Look = Annotated[Path, typer.Argument(help="File of the look.")]
Concurrency = Annotated[int, typer.Option(min=1, max=32, help="Requests at the same time.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare)
    app.command("look")(look)
    app.command("verify")(verify)


def compare(limit: Limit = 10, site: str = "main", json: AsJson = False) -> None:
    """Show what each warming met and what readers met after it, the newest first; exits with 1 if there is none.

    Example: `anp cache compare --limit 5`
    """
    with ledger() as found:
        runs = found.runs(limit * 5, task="cache.warm", state="succeeded")
    rounds = [_round(run) for run in runs if _of(run, site)][:limit]
    if json:
        printing.as_json(rounds)
    elif rounds:
        columns = ("finished", "release", "pages", "p50 ms", "p95 ms", "errors", "hits", "misses", "database calls")
        printing.table(columns, [_row(one) for one in rounds])
        printing.note("each as: before the warming → after it, over the same pages, as their number says")
    if not rounds:
        printing.note("no warming has succeeded yet; `anp tasks run cache.warm --wait` does one")
        raise typer.Exit(1)


def look(
    file: Look,
    post: Annotated[int, typer.Option(help="wp_posts.ID of the post that is about to appear, change or go.")],
    limit: Annotated[int, typer.Option(min=10, max=5000, help="Pages to look at, at most.")] = 200,
    concurrency: Concurrency = 4,
) -> None:
    """Look at the pages before a post's change: all that are declared to change with it, and some that are not.

    Example: `anp cache look before.json --post 2537`
    """
    from worker.site import looking

    seen = looking.look(settings(), post, limit, concurrency)
    try:
        file.write_text(seen.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise AnpError("The look cannot be written", expected="a file", given=str(error)) from None
    declared = sum(one.declared for one in seen.pages.values())
    shaky = sum(not one.stable for one in seen.pages.values())
    printing.say(f"{len(seen.pages)} pages seen, {declared} of them declared for post {post}, {shaky} unstable: {file}")
    printing.note(f"now let the post change, then: anp cache verify {file}")


def verify(file: Look, concurrency: Concurrency = 4, json: AsJson = False) -> None:
    """Look at the same pages after the change: which declared ones did not change, which undeclared ones did.

    Exits with 1 if an undeclared page changed, a page does not answer, or nothing changed at all.

    Example: `anp cache verify before.json`
    """
    from worker.site import looking

    try:
        before = looking.read(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("The look cannot be read", expected="a file of `anp cache look`", given=str(error)) from None
    verdict = looking.verify(settings(), before, concurrency)
    if json:
        printing.as_json({**verdict.model_dump(), "ok": verdict.ok})
    else:
        _tell(verdict.model_dump())
    if not verdict.ok:
        raise typer.Exit(1)


def _tell(verdict: dict[str, Any]) -> None:
    printing.say(
        f"{verdict['pages']} pages: {verdict['right']} declared ones changed, {verdict['untouched']} others did not"
    )
    told = {
        "undeclared_changed": "changed and not declared: old pages stay in the cache. Add them to ANP_PAGES",
        "declared_unchanged": "declared and did not change: cleared for nothing",
        "unstable": "differ by themselves: name what differs in `ignore`",
        "failed": "did not answer",
    }
    for name, what in told.items():
        if paths := verdict[name]:
            printing.say(f"{len(paths)} {what}")
            for path in paths[:20]:
                printing.say(f"  {path}")
            if len(paths) > 20:
                printing.say(f"  … and {len(paths) - 20} more; --json has all")
    if not verdict["right"]:
        printing.say("no declared page changed: did the post change, and is ANP_PAGE_CACHE right?")


def _of(run: Run, site: str) -> bool:
    given = (run.input or {}).get("site", "main")
    return isinstance(run.result, dict) and "before" in run.result and given == site


def _round(run: Run) -> dict[str, Any]:
    result = run.result
    return {
        "run_id": run.run_id,
        "finished_at": printing.clock(run.finished_at),
        "release": run.release,
        "pages": result["pages"],
        "shared": result["shared"],
        "before": result["before"],
        "after": result["after"],
    }


def _row(one: dict[str, Any]) -> list[object]:
    before, after = one["before"], one["after"] or {}
    pairs = [f"{_number(before[name])} → {_number(after.get(name))}" for name in FIGURES]
    measured = f"{one['pages']} ({before['pages']} measured)"
    return [one["finished_at"], one["release"], measured, *pairs]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
