"""What a post's change makes old in the caches of a WordPress."""

from __future__ import annotations

from worker.settings import Settings
from worker.site import separation
from worker.site.object_cache import ObjectCache

#: Groups of WordPress' object cache that hold something of one post, as its drop-ins name them.
OF_POST = (
    "posts:{id}", "posts:post_parent-{id}", "post_meta:{id}", "category_relationships:{id}",
    "post_tag_relationships:{id}", "post_format_relationships:{id}",
)  # fmt: skip
SHARED = ("general:wp_get_archives", "calendar:get_calendar", "posts:last_changed", "terms:last_changed")


def clear_posts(known: Settings, ids: list[int]) -> int:
    """Remove what the object cache keeps of these posts, by name.

    Args:
        known: the settings.
        ids: wp_posts.ID.

    Returns:
        Keys removed.

    Raises:
        redis.RedisError: the cache does not answer.
    """
    if not ids:
        return 0
    cache = ObjectCache.connect(known)
    separation.require_live(known.redis_url, cache.client)
    root = f"{known.prefix}:{known.wordpress_table_prefix.rstrip('_')}:"
    names = [form.format(id=post_id) for post_id in ids for form in OF_POST] + list(SHARED)
    return int(cache.client.unlink(*(root + name for name in names)))
