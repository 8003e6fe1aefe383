"""`anp check`: the production checklist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from kombu.utils.imports import symbol_by_name

from celery_anp.beat.schedule import Schedule
from celery_anp.checklist import redis as servers
from celery_anp.checklist import setup
from celery_anp.checklist.point import Point
from celery_anp.cli import printing, which_app
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import known, ledger
from celery_anp.cli.schedules.declared import catalog
from celery_anp.errors import AnpError
from celery_anp.reliability.nodes import unserved
from celery_anp.reliability.unreadable import Unreadable
from celery_anp.sending.message import queue_of
from celery_anp.settings import settings


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
    from celery_anp.contract.complete import guarded_tasks

    given, app = settings(), which_app.chosen()
    yield from setup.settings(given)
    yield from setup.secrets(given)
    yield from servers.ledger(known().redis_url)
    yield from setup.tasks(guarded_tasks(app))
    point, declared = _schedules()
    yield point
    try:
        with ledger() as found:
            alive = found.nodes()
            yield from setup.nodes(alive)
            yield from setup.queues(alive, unserved(found.store, alive), _queues(app, declared))
            yield setup.messages(Unreadable(found.store).kept())
    except AnpError as error:
        yield Point("nodes", "workers and beats live", str(error), "`anp worker`, `anp beat`")
    if app.deployment.checks:
        yield from symbol_by_name(app.deployment.checks)()


def _schedules() -> tuple[Point, Mapping[str, Schedule]]:
    what = "every schedule is right, and says owner, expected result and rollback"
    try:
        found = catalog()
    except AnpError as error:
        return Point("schedules", what, str(error), "the files of ANP_SCHEDULES"), {}
    lacking = [name for name, one in found.items() if not (one.owner and one.expects and one.rollback)]
    wrong = f"not all of it is said of {', '.join(lacking)}" if lacking else "" if found else "there is none"
    return Point("schedules", what, wrong, "the files of ANP_SCHEDULES, or the task's decorator"), found


def _queues(app: Any, declared: Mapping[str, Schedule]) -> dict[str, str]:
    """Per schedule the queue that its ticks go to."""
    return {name: queue_of(app.tasks[one.task], one.queue) for name, one in declared.items() if one.task in app.tasks}
