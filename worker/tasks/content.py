"""Tasks of the editors: posts go live on time, and search engines learn of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints

from celery_anp.reliability.retry import Retries
from worker.app import app
from worker.settings import settings
from worker.site import builds, sitemap
from worker.site.outcomes import Live
from worker.site.posts import Posts, utc_now
from worker.site.served.chosen import chosen
from worker.site.wordpress.publishing import Orders

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Published(BaseModel):
    """What went live."""

    model_config = ConfigDict(frozen=True)

    #: wp_posts.ID of what this run published.
    ids: list[int]
    count: NonNegativeInt
    #: Seconds that the latest of them was late; 0 when there was none.
    latest_seconds: float
    #: Pages removed from the cache.
    pages_cleared: NonNegativeInt
    #: Posts that were due when the run looked and are not live.
    remaining: NonNegativeInt
    #: Posts whose old pages are still kept, because the cache does not answer; the next run clears them.
    stale: NonNegativeInt


class Sitemap(BaseModel):
    """The sitemap that was built."""

    model_config = ConfigDict(frozen=True)

    build: str
    parts: NonNegativeInt
    urls: NonNegativeInt
    #: Public posts when the work began.
    public: NonNegativeInt


@app.task(
    bind=True,
    name="content.publish_due",
    owner="editorial",
    expects="every post whose time has come is live, and no page without it is kept",
    lock="publish:{site}",
    retries=Retries(max=5),
    time_limit=120,
    confirm=lambda result: not result.remaining and not result.stale,
)
def publish_due(self: Any, site: SiteName = "main", batch: Annotated[int, Field(ge=1, le=500)] = 100) -> Published:
    """Make the posts public whose time has come, and clear only the pages that show them.

    Args:
        site: name of the site, for the lock and the fence.
        batch: posts in one run, at most.
    """
    served = chosen(settings())
    at = datetime.fromisoformat(self.step("look", _now))  # the same for every attempt of the run
    ids = self.step("find", served.due, batch, at)
    live: list[Live] = []
    if ids:
        self.undo("publish", ids=ids)
        live = served.publish(ids, _orders(self, site))
    refreshed = served.refresh()
    return Published(
        ids=[one.id for one in live],
        count=len(live),
        latest_seconds=max((one.late for one in live), default=0.0),
        pages_cleared=refreshed.pages,
        remaining=served.count_due(at),
        stale=refreshed.left,
    )


def _orders(task: Any, site: str) -> Orders:
    return Orders(task.run_id, (f"publish:{site}", task.fence), lambda: bool(task.cancelled))


@publish_due.on_rollback(
    "Puts the posts of the run back to 'future' and clears the pages that show them. Pause the schedule first, "
    "or its next tick publishes them again (on a WordPress also the one of wordpress.run_due_events)."
)
def unpublish(self: Any, undo: Any, site: str = "main", batch: int = 0) -> None:  # noqa: ARG001
    """Take the run's posts back; what an editor published meanwhile stays."""
    served = chosen(settings())
    orders = Orders(self.run_id, (f"publish:{site}", self.fence))
    for entry in undo:
        if not served.unpublish(entry.data["ids"], orders):
            entry.skip("none of its posts is public by this run")
        served.refresh()


@app.task(
    bind=True,
    name="content.sitemap",
    owner="editorial",
    expects="every public post is in the sitemap",
    lock="sitemap:{site}",
    retries=Retries(max=3),
    time_limit=300,
    confirm=lambda result: result.urls >= result.public,
)
def build_sitemap(self: Any, site: SiteName = "main", chunk: Annotated[int, Field(ge=10, le=50_000)] = 500) -> Sitemap:
    """Write the sitemap in parts beside the live one, and swap it in at once.

    Args:
        site: name of the site, for the lock and the fence.
        chunk: posts in one part.
    """
    known = settings()
    posts, home = Posts.connect(known), builds.folder(known)
    built = sitemap.build(posts, home, known.site_url, chunk, self.progress)
    previous = builds.live(home)
    self.undo("swap", build=built.name, previous=previous)
    builds.publish(posts.engine, home, built.name, site=site, fence_number=self.fence)
    builds.prune(home, keep=previous)
    return Sitemap(build=built.name, parts=built.parts, urls=built.urls, public=built.public)


@build_sitemap.on_rollback("Makes the sitemap before this one the live one again.")
def swap_back(self: Any, undo: Any, site: str = "main", chunk: int = 0) -> None:  # noqa: ARG001
    """Go back to the build before, unless a later one is live."""
    known = settings()
    posts, home = Posts.connect(known), builds.folder(known)
    for entry in undo:
        build, previous = entry.data["build"], entry.data["previous"]
        if not builds.go_back(posts.engine, home, build, previous, site=site, fence_number=self.fence):
            entry.skip("another build is live")


def _now() -> str:
    return utc_now().isoformat()
