"""`anp schedules trigger`: a schedule's task, now."""

from __future__ import annotations

from typing import Annotated

import typer

from celery_anp.cli import which_app
from celery_anp.cli.following import follow, tell_end
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.cli.schedules.declared import schedule_named
from celery_anp.cli.schedules.overrides import Name
from celery_anp.cli.story import tell_state


def trigger(
    name: Name,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key runs once.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless it succeeds.")] = False,
    json: AsJson = False,
) -> None:
    """Run a schedule's task now, with the schedule's input. Its next tick stays as it is.

    Example: `anp schedules trigger warm-hot-pages --wait`
    """
    from celery_anp.app import GuardedApp, give_ledger
    from celery_anp.beat.plan import Planner
    from celery_anp.sending.call import new_id
    from celery_anp.sending.publisher import send_held

    with ledger(to_read=False) as found:
        one = schedule_named(name, found)
        app = which_app.chosen()
        app.loader.import_default_modules()
        if not isinstance(app, GuardedApp):
            give_ledger(app)
        planner = Planner(app, {one.name: one})
        new = planner.by_hand(one, new_id(one.task, key))
        planned = found.plan([new])
        send_held(app, [new], planned)
        run_id = planned[0].run_id
        if wait:
            tell_end(follow(found, run_id), json=json)
        else:
            tell_state(found.run(run_id), json=json)
