"""What the tasks and commands ask of a site, whatever serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Engine

from worker.site.flight import Flights
from worker.site.object_cache import ObjectCache
from worker.site.outcomes import Cleared, Live, Refreshed
from worker.site.purging import PageCache
from worker.site.wordpress.publishing import Orders

#: Records an undo entry: its name and data.
Record = Callable[[str, Mapping[str, Any]], None]


class Site(Protocol):
    """A site that is published, cleared and imported into."""

    def due(self, batch: int, at: datetime) -> list[int]:
        """Ids of posts whose time (UTC, without a zone) has come and that are not live, the longest overdue first."""

    def count_due(self, at: datetime) -> int:
        """How many there are."""

    def publish(self, ids: Sequence[int], orders: Orders) -> list[Live]:
        """Make posts public, those of them that are due; gives what this run made public, in any attempt.

        Raises:
            LostOwnership: a later attempt wrote already.
        """

    def unpublish(self, ids: Sequence[int], orders: Orders) -> bool:
        """Put back what this run made public; whether there was anything."""

    def refresh(self) -> Refreshed:
        """Clear the pages that were noted as stale."""

    def refresh_imported(self, engine: Engine) -> Refreshed:
        """Clear what imports have removed and changed, of any run."""

    def refuse_import(self) -> None:
        """Refuse to import where that cannot work.

        Raises:
            BadSetting: it cannot.
        """

    def check(self, wanted: Mapping[str, Any]) -> None:
        """Refuse what cannot be cleared; see `clear`."""

    def preview(self, wanted: Mapping[str, Any]) -> list[str]:
        """The paths and keys that `clear` would remove now."""

    def clear(self, wanted: Mapping[str, Any], record: Record, keep: int) -> Cleared:
        """Remove pages and objects from the caches.

        Args:
            wanted: `post`, `tag`, `prefix` and `group`, of which exactly one is not None.
            record: called before each removal with what `restore` needs.
            keep: bytes to keep at most.

        Raises:
            BadInput, Refused: this cannot be cleared.
        """

    def restore(self, data: Mapping[str, Any]) -> Mapping[str, int]:
        """Put back what `clear` recorded; gives how many pages and objects met which outcome (`restored` …)."""

    def cache(self) -> ObjectCache:
        """Its object cache, by the keys that are its own."""

    def page_cache(self) -> PageCache:
        """Where rendered pages are kept."""

    def flights(self) -> Flights | None:
        """What keeps two warmings from asking for one page; None where the run's lock must do."""
