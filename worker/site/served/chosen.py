"""The site that the settings name: the one place where its kind is asked for."""

from __future__ import annotations

from worker.settings import Settings
from worker.site.served.demo import Demo
from worker.site.served.site import Site
from worker.site.served.wordpress import WordPress

KINDS: dict[str, type[Demo | WordPress]] = {"demo": Demo, "wordpress": WordPress}


def chosen(known: Settings) -> Site:
    """The site, not connected yet."""
    return KINDS[known.site_kind](known)
