"""Tasks of a WordPress: its due events run without a visitor, and what went wrong in it is found."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import settings
from worker.site.wordpress import audit, events, ways
from worker.site.wordpress.audit import Audit
from worker.site.wordpress.cron import Event
from worker.site.wordpress.events import Orders
from worker.site.wordpress.ran import Ran
from worker.site.wordpress.site import Site

#: Seconds that no event may be overdue.
OVERDUE = 120
SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


@app.task(
    bind=True,
    name="wordpress.run_due_events",
    owner="platform",
    expects="no event is overdue by more than 2 minutes, and each came to its end",
    no_rollback="what a hook did cannot be taken back; what became of it stands in the table wp_anp_event",
    lock="events:{site}",
    retries=Retries(max=1),
    time_limit=900,
    undo_limit=2 * 1024 * 1024,  # a line for each event
    confirm=lambda result: result.overdue <= OVERDUE and not result.lost and not result.failed,
)
def run_due_events(
    self: Any,
    site: SiteName = "main",
    limit: Annotated[int, Field(ge=1, le=1000)] = 200,
    event_limit: Annotated[int, Field(ge=5, le=600)] = 60,
    repeatable: Annotated[list[str], Field(max_length=500)] = [],  # noqa: B006  read only; pydantic makes a new one
) -> Ran:
    """Run each event of WordPress' cron option whose time has come, once, in a process of its own.

    Args:
        site: name of the site, for the lock and the fence.
        limit: events in one run, at most.
        event_limit: seconds for one event; then its process group is ended.
        repeatable: hooks that may run twice: an event of theirs that died is run again. Any other is reported.
    """
    known = settings()

    def record(event: Event) -> None:
        self.undo("event", hook=event.hook, due=event.due, key=event.key)

    orders = Orders(
        run=self.run_id or "by hand",
        fenced=(f"events:{site}", self.fence),
        record=record,
        stop=lambda: bool(self.cancelled),
        repeatable=frozenset(repeatable),
        most=limit,
        limit=event_limit,
    )
    return events.run(Site.connect(known), ways.chosen(known), orders)


@app.task(
    bind=True,
    name="wordpress.audit",
    owner="platform",
    expects="nothing in the WordPress is overdue, lost, missed or drifted, and its object cache is alone",
    no_rollback="reads only",
    lock="audit-wordpress:{site}",
    retries=Retries(max=2),
    time_limit=300,
    confirm=lambda result: not result.troubles,
)
def audit_wordpress(
    self: Any,  # noqa: ARG001
    site: SiteName = "main",  # noqa: ARG001  part of the lock
    top: Annotated[int, Field(ge=1, le=1000)] = 10,
    limit: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000,
) -> Audit:
    """Find overdue and lost events, missed posts, drifted term counts, heavy options, and an object cache that shares.

    Args:
        site: name of the site, for the lock.
        top: how many of each kind to name.
        limit: keys of the object cache to look at, at most.
    """
    return audit.audit(Site.connect(settings(), prepare=False), top=top, limit=limit)
