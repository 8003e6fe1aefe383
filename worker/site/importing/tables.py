"""Our tables beside WordPress': which source row is which post, how far a run is, and what it replaced."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Engine, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from worker.site import fence
from worker.site.tables import MARIADB

#: Characters of a source row's id, and of a source's name.
ID_LENGTH, SOURCE_LENGTH = 191, 64

metadata = MetaData()
_UTF8: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}
_number: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_long: TypeEngine[str] = Text().with_variant(mysql.LONGTEXT(), *MARIADB)


def _exact(length: int) -> TypeEngine[str]:
    """A text in which `A` is not `a`: WordPress' own collation would take two rows for one."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), *MARIADB)


#: One row for each row of a source that is on the site.
sources = Table(
    "anp_source",
    metadata,
    Column("source", _exact(SOURCE_LENGTH), primary_key=True),
    Column("source_id", _exact(ID_LENGTH), primary_key=True),
    Column("post_id", BigInteger(), nullable=False),
    #: Of the row as it was imported last: equal means that there is nothing to do.
    Column("digest", String(64), nullable=False),
    Index("anp_source_post", "post_id"),
    **_UTF8,
)

#: One row for each run: how many records of its source it has dealt with, and what became of them.
runs = Table(
    "anp_import",
    metadata,
    Column("run_id", _exact(ID_LENGTH), primary_key=True),
    Column("source", _exact(SOURCE_LENGTH), nullable=False),
    Column("state", String(20), nullable=False),
    Column("position", BigInteger(), nullable=False),
    Column("added", BigInteger(), nullable=False),
    Column("changed", BigInteger(), nullable=False),
    Column("same", BigInteger(), nullable=False),
    Column("bad", BigInteger(), nullable=False),
    Column("passed", BigInteger(), nullable=False),
    #: The first bad rows, as JSON.
    Column("bad_rows", _long, nullable=False),
    Column("touched_at", DateTime(), nullable=False),
    **_UTF8,
)

#: What a run did to a post or a tag, and what was there before.
changes = Table(
    "anp_import_change",
    metadata,
    Column("id", _number, primary_key=True, autoincrement=True),
    Column("run_id", _exact(ID_LENGTH), nullable=False),
    #: `added`, `changed`, `tag` (one that was made); `gone`: pages that are still to be cleared.
    Column("kind", String(20), nullable=False),
    Column("item", BigInteger(), nullable=False),
    Column("source_id", _exact(ID_LENGTH), nullable=False),
    Column("kept", _long, nullable=False),
    Index("anp_import_change_run", "run_id", "kind"),
    **_UTF8,
)


def prepare(engine: Engine) -> None:
    """Make our tables where they are missing; a WordPress database does not have them."""
    fence.prepare(engine)
    metadata.create_all(engine, checkfirst=True)
