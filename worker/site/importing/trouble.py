"""What a database says when it cannot go on, in words: is its disk full, is it away, is it locked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from celery_anp.errors import DatabaseTrouble

#: MariaDB's numbers for it.
FULL = frozenset({1021, 1030, 1114})
AWAY = frozenset({1053, 1077, 1927, 2002, 2003, 2006, 2013, 2055})
LOCKED = frozenset({1205, 1213})


@contextmanager
def spoken() -> Iterator[None]:
    """Let what passes away by itself be tried again, and say what it is.

    Raises:
        DatabaseTrouble: the transaction was rolled back; trying again is safe.
    """
    try:
        yield
    except DBAPIError as error:
        what = _what(error)
        if not what:
            raise
        raise DatabaseTrouble(f"{what}; nothing half done is left", given=str(error.orig)) from error


def _what(error: DBAPIError) -> str:
    said = str(error.orig).lower()
    number = error.orig.args[0] if error.orig and error.orig.args else None
    if number in FULL or "disk is full" in said or "disk i/o error" in said:
        return "The database's disk is full"
    if number in LOCKED or "database is locked" in said:
        return "The database is locked"
    if number in AWAY or error.connection_invalidated:
        return "The database does not answer"
    return ""
