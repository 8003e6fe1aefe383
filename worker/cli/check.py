"""`anp check`: the production checklist."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from worker.checklist import house, pages
from worker.checklist import redis as servers
from worker.checklist.point import Point
from worker.checklist.wordpress import wordpress
from worker.cli import printing
from worker.cli.catalog import catalog
from worker.cli.printing import AsJson
from worker.cli.reach import ledger
from worker.errors import AnpError
from worker.settings import settings


def check(json: AsJson = False) -> None:
    """Go through the production checklist: each line passes, or fails with its mend. Changes nothing.

    Rights are tried, not read. Exit code 1 if any line fails. Example: `anp check`
    """
    points = list(_points())
    failed = [point for point in points if not point.ok]
    env = settings().env
    if json:
        lines = [{"area": p.area, "what": p.what, "ok": p.ok, "wrong": p.wrong or None, "mend": p.mend} for p in points]
        printing.as_json({"ok": not failed, "env": env, "points": lines})
    else:
        for point in points:
            _say(point)
        printing.say(f"\n{len(points) - len(failed)} of {len(points)} pass")
        if failed and env != "production":
            printing.say(f"this is {env}: what fails here matters once it is production")
    if failed:
        raise typer.Exit(1)


def _say(point: Point) -> None:
    printing.say(f"{'pass' if point.ok else 'FAIL'}  {point.area:<9}  {point.what}")
    if not point.ok:
        printing.say(f"                 {point.wrong.rstrip('.')}. Mend: {point.mend}")


def _points() -> Iterator[Point]:
    from worker.app import app, guarded_tasks

    known = settings()
    yield from house.settings(known)
    yield from house.secrets(known)
    yield from servers.ledger(known.redis_url)
    yield from servers.cache(known.cache_url, known.redis_url)
    yield from house.tasks(guarded_tasks(app))
    yield _schedules()
    try:
        with ledger() as found:
            yield from house.nodes(found.nodes())
    except AnpError as error:
        yield Point("nodes", "workers and beats live", str(error), "`anp worker`, `anp beat`")
    if known.site_kind == "wordpress":
        yield from wordpress(known)
    if "site_url" in known.model_fields_set:
        yield from pages.site(known.site_url)


def _schedules() -> Point:
    what = "every schedule is right, and says owner, expected result and rollback"
    try:
        count = len(catalog())
    except AnpError as error:
        return Point("schedules", what, str(error), "the files of ANP_SCHEDULES")
    return Point("schedules", what, "" if count else "there is none", "the files of ANP_SCHEDULES")
