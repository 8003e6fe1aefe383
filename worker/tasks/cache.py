"""Tasks of the site's page cache: fill it, clear it, look it over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, StringConstraints

from worker.app import app
from worker.reliability.retry import Retries
from worker.settings import settings
from worker.site import audit, clearing, kept, warm
from worker.site.object_cache import ObjectCache
from worker.site.pages import FEED, FRONT, post_path
from worker.site.posts import Posts

#: Visits between two reports of progress.
REPORT = 25

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9%_-]{1,200}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[^*?\[\]\\\s]+$", max_length=500)]


class Cleared(BaseModel):
    """What was removed."""

    model_config = ConfigDict(frozen=True)

    #: Pages removed from the cache.
    pages: NonNegativeInt
    #: Of them, kept for a rollback.
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
    pages: Annotated[int, Field(ge=1, le=2000)] = 50,
    concurrency: Annotated[int, Field(ge=1, le=32)] = 4,
) -> warm.Figures:
    """Ask for the front page, the feed and the most read posts, so that the next reader finds them rendered.

    Args:
        site: name of the site, for the lock.
        pages: how many.
        concurrency: requests at the same time, at most.
    """
    known = settings()
    hottest = [post_path(post.slug) for post in Posts.connect(known).hottest(pages)]
    paths = [FRONT, FEED, *hottest][:pages]

    def report(done: int, total: int) -> bool:
        if done % REPORT and done != total:
            return False
        self.progress(done, total)
        return bool(self.cancelled)

    return warm.visit(known.site_url, paths, concurrency=concurrency, each=report)


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
    site: SiteName = "main",  # noqa: ARG001  part of the lock
    restore_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 512 * 1024,
) -> Cleared:
    """Remove pages from the cache: exactly one of post, tag and prefix.

    Args:
        post: wp_posts.ID: every page that shows it.
        tag: slug of a tag: every page of its list.
        prefix: beginning of paths, such as `/tag/python/`.
        site: name of the site, for the lock.
        restore_limit: bytes of pages to keep for a rollback.
    """
    cache = clearing.connect(settings())
    what = clearing.target(cache, post=post, tag=tag, prefix=prefix)

    def record(removed: Sequence[kept.Kept], at: int) -> None:
        self.undo("pages", at=at, pages=list(removed))

    done = clearing.clear(cache, what, record=record, keep=restore_limit)
    again = max(0, done.pages - done.kept)
    if again:
        self.undo("rendered again", pages=again)
    return Cleared(pages=done.pages, kept=done.kept, kept_bytes=done.kept_bytes, rendered_again=again)


@clear_pages.on_rollback(
    "Puts back the pages that were kept, unless they ended, were rendered again or cleared again since."
)
def put_back(self: Any, undo: Any, **_input: Any) -> None:  # noqa: ARG001
    """Restore what was kept; the rest is rendered again when somebody asks for it."""
    cache = clearing.connect(settings())
    for entry in undo:
        if entry.name == "rendered again":
            entry.skip(f"{entry.data['pages']} pages were not kept; they are rendered again on demand")
            continue
        outcomes = kept.restore(cache, entry.data["pages"], entry.data["at"])
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
