"""A WordPress: does its code run for us, on the database that we see, and is every other trigger kept off."""

from __future__ import annotations

from collections.abc import Iterator

from celery_anp.checklist.point import Point
from celery_anp.errors import AnpError
from worker.settings import Settings
from worker.site.wordpress import ways
from worker.site.wordpress.site import Site

AREA = "wordpress"
#: Seconds that its code has to say hello.
PATIENCE = 15


def wordpress(known: Settings) -> Iterator[Point]:
    """The WordPress that the settings name."""
    what = "its database answers and has its tables"
    try:
        site = Site.connect(known, prepare=False)
    except AnpError as error:
        yield Point(AREA, what, str(error), "ANP_DATABASE_URL and ANP_WORDPRESS_TABLE_PREFIX")
        return
    yield Point(AREA, what)
    what = "its code runs for us"
    try:
        told = ways.chosen(known).ask({"do": "hello"}, limit=PATIENCE)
    except AnpError as error:
        yield Point(AREA, what, str(error), "php and ANP_WORDPRESS_PATH, or the plugin and ANP_WORDPRESS_SECRET")
        return
    yield Point(AREA, what, "" if told.state == "done" else told.why or told.state, "the error log of php")
    if told.state == "done":
        yield from _hello(site, told.data)


def _hello(site: Site, said: dict[str, object]) -> Iterator[Point]:
    same = site.lock_name("x").split(":")[1] == said.get("site")
    yield Point(
        AREA, "its wp-config.php names the database and the table prefix that we see",
        "" if same else "locks and fences of both sides are not the same ones", "ANP_DATABASE_URL, or wp-config.php",
    )  # fmt: skip
    wrong = "" if said.get("plugin") else "a visitor's trigger can run an event that we run"
    yield Point(AREA, "our plugin guards wp-cron.php", wrong, "deploy/wordpress/anp.php into wp-content/mu-plugins")
    wrong = "" if said.get("own_trigger_off") else "each visitor may start it"
    yield Point(AREA, "its own trigger is off", wrong, "define('DISABLE_WP_CRON', true) in wp-config.php")
