"""Tasks of the site's page cache: fill it, clear it, look it over."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, StringConstraints

from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import settings
from worker.site import audit, purging, warm, worth
from worker.site.object_cache import ObjectCache
from worker.site.served.chosen import chosen
from worker.site.warm import Figures, Manners

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

    made = warm.visit(known.site_url, paths, asked, flights=chosen(known).flights(), each=report)
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
    wanted = {"post": post, "tag": tag, "prefix": prefix, "group": group}
    done = chosen(settings()).clear(wanted, lambda name, data: self.undo(name, **data), restore_limit)
    if done.rendered_again:
        self.undo("rendered again", pages=done.rendered_again)
    return Cleared(
        pages=done.pages, objects=done.objects, kept=done.kept, kept_bytes=done.kept_bytes,
        rendered_again=done.rendered_again,
    )  # fmt: skip


@clear_pages.on_rollback(
    "Puts back the pages that were kept, unless they ended, were rendered again or cleared again since."
)
def put_back(self: Any, undo: Any, **_input: Any) -> None:  # noqa: ARG001
    """Restore what was kept; the rest is rendered again when somebody asks for it."""
    served = chosen(settings())
    for entry in undo:
        if entry.name == "rendered again":
            entry.skip(f"{entry.data['pages']} pages were not kept; they are rendered again on demand")
            continue
        outcomes = served.restore(entry.data)
        if not outcomes.get("restored"):
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
