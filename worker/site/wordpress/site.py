"""One WordPress as this process sees it: its database, its tables, and the locks that other triggers see.

MariaDB's GET_LOCK belongs to a connection and ends with it, however its process died.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from celery_anp.errors import AnpError, BadSetting
from worker.settings import Settings
from worker.site import database, fence
from worker.site.prefixed import Tables, named
from worker.site.tables import fences

#: MariaDB: no such table.
_NO_TABLE = 1146


class SiteUnavailable(AnpError):
    """The WordPress or its database does not answer, or not as it should."""

    retry_safe = True


@dataclass
class Site:
    """A WordPress.

    Args:
        known: the settings.
        engine: of its database.
        tables: under its prefix.
    """

    known: Settings
    engine: Engine
    tables: Tables
    #: Whether our own tables are there.
    prepared: bool = False
    _digest: str = field(default="", init=False)

    @classmethod
    def connect(cls, known: Settings, *, prepare: bool = True) -> Site:
        """The WordPress that the settings name, looked at: its database answers and has its tables.

        Args:
            known: the settings.
            prepare: make our own tables beside them where they are missing.

        Raises:
            BadSetting: the settings name no MariaDB, or there are no such tables.
            SiteUnavailable: the database does not answer.
        """
        engine = database.engine(known.database_url)
        if engine.dialect.name not in ("mysql", "mariadb"):
            raise BadSetting(
                "A WordPress needs its database",
                expected="ANP_DATABASE_URL as mariadb+pymysql://user:password@host/name, for ANP_SITE_KIND=wordpress",
                given=engine.url.render_as_string(),
            )
        site = cls(known, engine, named(known.wordpress_table_prefix))
        with site.asked() as connection:
            site._look(connection)
        if prepare and not site.prepared:
            fence.prepare(engine)
            site.tables.events.create(engine, checkfirst=True)
            site.prepared = True
        return site

    @contextmanager
    def asked(self, *, write: bool = False) -> Iterator[Connection]:
        """A connection; what goes wrong with it is told in our words.

        Raises:
            SiteUnavailable: the database does not answer, or refused.
        """
        opened = database.writing(self.engine) if write else database.reading(self.engine)
        try:
            with opened as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def option(self, name: str) -> bytes | None:
        """The value of an option as bytes, read from SQL; None where there is none."""
        options = self.tables.options
        query = select(options.c.option_value).where(options.c.option_name == name)
        with self.asked() as connection:
            value = connection.scalar(query)
        return None if value is None else value.encode()

    # -- locks ------------------------------------------------------------------------------------

    def lock_name(self, name: str) -> str:
        """The full name of a lock, as anp.php names it too."""
        return f"anp:{self._digest}:{name}"

    @contextmanager
    def locked(self, name: str, seconds: int = 0) -> Iterator[Held | None]:
        """Hold one of the database's locks while the block runs.

        Args:
            name: of the lock within this site.
            seconds: to wait for it.

        Yields:
            The lock, or None: another connection holds it.
        """
        full = self.lock_name(name)
        # Its own connection: the lock lives as long as that one, and nothing else is sent on it.
        with self.asked() as connection:
            got = connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), {"name": full, "seconds": seconds})
            if got.scalar() != 1:
                yield None
                return
            connection.rollback()  # the lock is the connection's, no transaction is kept open for it
            try:
                yield Held(self, connection, full)
            finally:
                if not connection.invalidated:
                    connection.execute(text("DO RELEASE_LOCK(:name)"), {"name": full})

    def is_free(self, name: str) -> bool:
        """Whether nobody holds a lock."""
        with self.asked() as connection:
            return bool(connection.scalar(text("SELECT IS_FREE_LOCK(:name)"), {"name": self.lock_name(name)}))

    # -- inside -----------------------------------------------------------------------------------

    def _look(self, connection: Connection) -> None:
        name = connection.scalar(text("SELECT DATABASE()"))
        prefix = self.known.wordpress_table_prefix
        self._digest = hashlib.sha1(f"{name}:{prefix}".encode(), usedforsecurity=False).hexdigest()[:12]
        query = text("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        found = set(connection.scalars(query))
        self.prepared = {fences.name, self.tables.events.name} <= found
        wanted = [table.name for table in (self.tables.posts, self.tables.options)]
        if missing := [table for table in wanted if table not in found]:
            others = sorted(match[1] for table in found if (match := re.fullmatch(r"(\w*)options", table)))
            raise BadSetting(
                f"{name} has no table {' and no '.join(missing)}",
                expected="ANP_WORDPRESS_TABLE_PREFIX as $table_prefix in wp-config.php"
                + (f"; the tables there begin with {' or '.join(others)}" if others else ""),
                given=prefix,
            )

    def _unavailable(self, error: SQLAlchemyError) -> AnpError:
        place = self.engine.url.render_as_string()
        cause: Any = error.orig if isinstance(error, DBAPIError) else error
        code = cause.args[0] if getattr(cause, "args", None) else ""
        if isinstance(error, ProgrammingError) and code == _NO_TABLE:
            return BadSetting(
                "A table of WordPress is missing", expected="a complete WordPress", given=str(cause.args[1])
            )
        kind = "does not answer" if isinstance(error, OperationalError) else "refused what was asked"
        return SiteUnavailable(
            f"The database of the WordPress {kind}", expected=f"an answer from {place}", given=str(cause)[:300]
        )


@dataclass(frozen=True)
class Held:
    """A lock of the database that is held."""

    site: Site
    connection: Connection
    name: str

    def check(self) -> None:
        """Make sure that it is still ours.

        Raises:
            SiteUnavailable: the connection, and with it the lock, is gone.
        """
        ours = text("SELECT IS_USED_LOCK(:name) = CONNECTION_ID()")
        try:
            held = self.connection.scalar(ours, {"name": self.name})
            self.connection.rollback()
        except SQLAlchemyError as error:
            raise self.site._unavailable(error) from error
        if held != 1:
            raise SiteUnavailable("The lock of this run was lost", expected=f"{self.name} held", given="not ours")
