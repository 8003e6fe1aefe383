"""What was done to the site: what went live, what was cleared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Live:
    """A post that this run made public."""

    #: wp_posts.ID.
    id: int
    #: Seconds between its time and its publishing.
    late: float


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a clearing of stale pages did."""

    #: Pages, and keys of an object cache, that were removed.
    pages: int
    #: Posts, at least, whose pages are still stale, because a cache does not answer.
    left: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a clearing that was asked for did."""

    #: Pages removed.
    pages: int
    #: Keys removed from an object cache beside them.
    objects: int = 0
    #: Of both, kept for a rollback, and their bytes.
    kept: int = 0
    kept_bytes: int = 0

    @property
    def rendered_again(self) -> int:
        """What a rollback does not bring back: it is rendered again when somebody asks for it."""
        return max(0, self.pages + self.objects - self.kept)
