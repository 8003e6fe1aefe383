"""A schedule that is not there."""

from __future__ import annotations

from collections.abc import Collection

from celery_anp.errors import UnknownName, did_you_mean


def unknown(name: str, known: Collection[str]) -> UnknownName:
    """The error for a schedule that is not there, with the nearest names."""
    hint = did_you_mean(name, known)
    return UnknownName(f"There is no schedule {name!r}.{hint}", expected="a name that `anp schedules list` shows")
