"""Tasks of the site's page cache: fill it, clear it, look it over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, StringConstraints

from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import Settings, settings
from worker.site import audit, clearing, kept, purging, warm, worth
from worker.site.flight import Flights
from worker.site.object_cache import ObjectCache
from worker.site.warm import Figures, Manners
from worker.site.wordpress import caches
from worker.site.wordpress.caches import KeptFile
from worker.site.wordpress.objects import KeptObject

#: Visits between two reports of progress.
REPORT = 25
#: Pages that a warming asks for a second time, to see what it brought.
MEASURED = 20

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9%_-]{1,200}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[^*?\[\]\\\s]+$", max_length=500)]
Group = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class Warmed(BaseModel):
    """What a warming met, and what readers meet after it."""

    model_config = ConfigDict(frozen=True)

    #: Pages asked for.
    pages: NonNegativeInt
    #: Of them, those that another warmer was asking for at the same time: waited for, not rendered twice.
    shared: NonNegativeInt
    hits: NonNegativeInt
    misses: NonNegativeInt
    database_calls: NonNegativeInt
    error_rate: float
    #: The round ended early because too much failed.
    stopped: bool
    #: The first answer of the pages that were measured: what a reader would have met without the warming.
    before: Figures
    #: The second answer of the same pages; None when the round ended early.
    after: Figures | None
    #: Some paths that failed, with their status (0: no answer).
    errors: list[tuple[str, int]]


class Cleared(BaseModel):
    """What was removed."""

    model_config = ConfigDict(frozen=True)

    #: Pages removed from the cache.
    pages: NonNegativeInt
    #: Keys removed from WordPress' object cache.
    objects: NonNegativeInt = 0
    #: Of both, kept for a rollback.
    kept: NonNegativeInt
    kept_bytes: NonNegativeInt
    #: Pages that a rollback does not bring back: they are rendered again when somebody asks for them.
    rendered_again: NonNegativeInt


@app.task(
    bind=True,
    name="cache.warm",
    owner="platform",
    expects="the hottest pages answer, at most one in twenty with an error",
    no_rollback="asks for pages as any reader does",
    lock="warm:{site}",
    retries=Retries(max=2),
    time_limit=300,
    confirm=lambda result: not result.stopped and result.error_rate <= 0.05,
)
def warm_pages(
    self: Any,
    site: SiteName = "main",  # noqa: ARG001  part of the lock
    pages: Annotated[int, Field(ge=1, le=10_000)] = 50,
    concurrency: Annotated[int, Field(ge=1, le=32)] = 4,
    rate: Annotated[float, Field(gt=0, le=1000)] = 50,
    sitemap: bool = False,
    views: Annotated[str, StringConstraints(pattern=r"^\w{1,191}$")] = "views",
    refresh: bool = False,
) -> Warmed:
    """Ask for the front page, the feed, the most viewed posts and the sitemap's pages, so that the next reader finds
    them rendered. The figures of the first and of a second answer stay with the run: `anp cache compare`.

    Args:
        site: name of the site, for the lock.
        pages: how many.
        concurrency: requests at the same time, at most.
        rate: requests a second, at most.
        sitemap: go on with what the sitemap names when fewer pages have views.
        views: the postmeta where the site counts views.
        refresh: have each page rendered anew, with the header of ANP_PAGE_CACHE_HEADER.
    """
    known = settings()
    paths = worth.paths(known, pages, views=views, sitemap=sitemap)
    polite = Manners(concurrency, rate)
    asked = Manners(concurrency, rate, headers=purging.header(known) if refresh else {})

    def report(done: int, total: int) -> bool:
        if done % REPORT and done != total:
            return False
        self.progress(done, total)
        return bool(self.cancelled)

    made = warm.visit(known.site_url, paths, asked, flights=_flights(known), each=report)
    stopped = warm.too_bad(made, asked)
    measured = set(paths[:MEASURED])
    after = [] if stopped or self.cancelled else warm.visit(known.site_url, paths[:MEASURED], polite)
    first, all_of_them = [visit for visit in made if visit.path in measured], warm.figures(made, stopped=stopped)
    return Warmed(
        pages=all_of_them.pages,
        shared=sum(visit.shared for visit in made),
        hits=all_of_them.hits,
        misses=all_of_them.misses,
        database_calls=all_of_them.database_calls,
        error_rate=all_of_them.error_rate,
        stopped=stopped,
        before=warm.figures(first, stopped=stopped),
        after=warm.figures(after) if after else None,
        errors=list(all_of_them.errors),
    )


def _flights(known: Settings) -> Flights | None:
    """None where a WordPress names no Redis of its cache: the run's lock keeps warmings apart there."""
    named = known.site_kind == "demo" or "cache_url" in known.model_fields_set
    return Flights.connect(known, "ask") if named else None


@app.task(
    bind=True,
    name="cache.clear",
    owner="platform",
    expects="no page that was named is kept any more",
    lock="clear:{site}",
    retries=Retries(max=2),
    time_limit=300,
)
def clear_pages(
    self: Any,
    post: PositiveInt | None = None,
    tag: Tag | None = None,
    prefix: Prefix | None = None,
    group: Group | None = None,
    site: SiteName = "main",  # noqa: ARG001  part of the lock
    restore_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 512 * 1024,
) -> Cleared:
    """Remove from the cache: exactly one of post, tag, prefix and group.

    Args:
        post: wp_posts.ID: every page that shows it, and on a WordPress its objects.
        tag: slug of a tag: every page of its list.
        prefix: beginning of paths, such as `/tag/python/`; not on a WordPress.
        group: a group of WordPress' object cache, such as `post-queries`.
        site: name of the site, for the lock.
        restore_limit: bytes of pages and objects to keep for a rollback.
    """
    known = settings()
    if known.site_kind == "wordpress" or group is not None:
        return _clear_wordpress(self, known, restore_limit, post=post, tag=tag, prefix=prefix, group=group)
    cache = clearing.connect(known)
    what = clearing.target(cache, post=post, tag=tag, prefix=prefix)

    def record(removed: Sequence[kept.Kept], at: int) -> None:
        self.undo("pages", at=at, pages=list(removed))

    done = clearing.clear(cache, what, record=record, keep=restore_limit)
    again = max(0, done.pages - done.kept)
    if again:
        self.undo("rendered again", pages=again)
    return Cleared(pages=done.pages, kept=done.kept, kept_bytes=done.kept_bytes, rendered_again=again)


def _clear_wordpress(task: Any, known: Settings, limit: int, **given: Any) -> Cleared:
    what = caches.target(known, **given)
    if what.group is not None:
        removed = caches.clear_group(known, what.group)
        task.undo("rendered again", pages=removed)
        return Cleared(pages=0, objects=removed, kept=0, kept_bytes=0, rendered_again=removed)

    def record(objects: list[KeptObject], files: list[KeptFile], changed: str) -> None:
        task.undo("wordpress", objects=objects, files=files, changed=changed)

    done = caches.clear(known, what.posts, what.paths, record=record, keep=limit)
    again = max(0, done.pages + done.objects - done.kept)
    if again:
        task.undo("rendered again", pages=again)
    return Cleared(
        pages=done.pages, objects=done.objects, kept=done.kept, kept_bytes=done.kept_bytes, rendered_again=again
    )


@clear_pages.on_rollback(
    "Puts back the pages that were kept, unless they ended, were rendered again or cleared again since."
)
def put_back(self: Any, undo: Any, **_input: Any) -> None:  # noqa: ARG001
    """Restore what was kept; the rest is rendered again when somebody asks for it."""
    known = settings()
    for entry in undo:
        if entry.name == "rendered again":
            entry.skip(f"{entry.data['pages']} pages were not kept; they are rendered again on demand")
            continue
        if entry.name == "wordpress":
            outcomes = caches.restore(known, entry.data["objects"], entry.data["files"], entry.data["changed"])
        else:
            outcomes = kept.restore(clearing.connect(known), entry.data["pages"], entry.data["at"])
        if not outcomes["restored"]:
            entry.skip("nothing put back: " + ", ".join(f"{n} {name}" for name, n in outcomes.items()))


@app.task(
    bind=True,
    name="cache.audit",
    owner="platform",
    expects="every key of the site's cache has an end",
    no_rollback="reads only",
    lock="audit:{site}",
    retries=Retries(max=2),
    time_limit=300,
    confirm=lambda result: not result.without_end,
)
def audit_cache(
    self: Any,  # noqa: ARG001
    site: SiteName = "main",  # noqa: ARG001  part of the lock
    limit: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000,
) -> audit.Audit:
    """Count the keys of the site's cache, their memory, how long they last, and what stands out.

    Args:
        site: name of the site, for the lock.
        limit: keys to look at, at most.
    """
    return audit.audit(ObjectCache.connect(settings()), limit=limit)
