"""Which events are due: read from SQL, and where that is not enough, from WordPress."""

from __future__ import annotations

from worker.site.wordpress import cron, serialized
from worker.site.wordpress.cron import CorruptCron, Event
from worker.site.wordpress.register import Row
from worker.site.wordpress.site import Site
from worker.site.wordpress.way import Way

#: Published by `content.publish_due`, many in one process; only what it leaves is run here.
PUBLISHES = "publish_future_post"
#: Seconds that such an event is left to it.
LEFT_TO_PUBLISHER = 60
#: Seconds that WordPress has to say what is due.
LISTED_WITHIN = 20


def scheduled(site: Site, way: Way | None = None) -> list[Event]:
    """Every event of the cron option, the longest due first.

    Args:
        site: the WordPress.
        way: asked where the option holds what we do not read, such as an object among an event's arguments; then only
            events that are due are found, a hundred at most.

    Raises:
        CorruptCron: it cannot be read, by WordPress neither.
        SiteUnavailable: the database does not answer.
    """
    option = site.option("cron")
    try:
        return cron.events(option) if option else []
    except CorruptCron:
        told = way.ask({"do": "due"}, limit=LISTED_WITHIN) if way else None
        if told is None or told.state != "done":
            raise
        return sorted((Event(*entry) for entry in told.data.get("events", [])), key=Event.order)


def published(rows: list[Row]) -> list[int]:
    """The posts that these events have published."""
    ids = []
    for row in rows:
        args = serialized.loads(row.args.encode()) if row.hook == PUBLISHES and row.args else None
        ids += [one for one in args.values() if isinstance(one, int)] if isinstance(args, dict) else []
    return ids
