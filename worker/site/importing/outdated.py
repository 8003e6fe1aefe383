"""What the caches keep of an import's posts: cleared after its writes, on the demo and on a WordPress.

Limit on a WordPress: the lists of the author and the categories of a post that was removed keep it until their time is
over.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from worker.settings import Settings
from worker.site import clearing, pages, stale
from worker.site.affected import Shown
from worker.site.importing import gone
from worker.site.object_cache import ObjectCache
from worker.site.posts import Post
from worker.site.stale import Cleared
from worker.site.wordpress import caches, publishing
from worker.site.wordpress.site import Site


def clear(known: Settings, engine: Engine) -> Cleared:
    """Clear all that was noted by `gone` and `stale`, of any run.

    Args:
        known: the settings; the kind of the site decides what is cleared, and how.
        engine: of the site's database.

    Returns:
        What was cleared, and what is left for the next run because a cache does not answer.
    """
    if known.site_kind == "wordpress":
        shown = Shown.connect(known)

        def remove(posts: Sequence[Post]) -> None:
            caches.clear(known, [post.id for post in posts], shown.as_they_were(posts))

        left = gone.clear(engine, remove)
        changed = publishing.clear(Site.connect(known))
        return Cleared(changed.pages, changed.left + left)
    cache = ObjectCache.connect(known)
    left = gone.clear(engine, lambda posts: clearing.clear_tags(cache, pages.cache_tags(posts)))
    cleared = stale.clear(engine, cache)
    return Cleared(cleared.pages, cleared.left + left)
