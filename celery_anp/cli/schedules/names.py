"""A schedule that is not there."""

from __future__ import annotations

from collections.abc import Collection

from celery_anp.beat.name import escaped
from celery_anp.errors import UnknownName, did_you_mean


def unknown(name: str, known: Collection[str]) -> UnknownName:
    """The error for a schedule that is not there, with the nearest names."""
    hint = did_you_mean(name, known)
    return UnknownName(f"There is no schedule {name!r}.{hint}", expected="a name that `anp schedules list` shows")


def resolved(name: str, known: Collection[str]) -> str:
    """A schedule's name as it is kept, from that form or from the one that an app's `beat_schedule` says.

    Raises:
        UnknownName: there is none; says which are near.
    """
    for form in (name, escaped(name)):
        if form in known:
            return form
    raise unknown(name, known)
