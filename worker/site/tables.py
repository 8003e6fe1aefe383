"""WordPress' tables as far as they are used here, and one of ours: the highest fence seen per name.

The names, types and indexes are WordPress', so that the same queries run on a WordPress database.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeEngine

MARIADB = ("mysql", "mariadb")
#: What WordPress writes where a date is not known.
NO_DATE = datetime(1970, 1, 1)  # noqa: DTZ001  WordPress' dates carry no zone; `_gmt` columns are UTC

metadata = MetaData()

_id: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
_long: TypeEngine[str] = Text().with_variant(mysql.LONGTEXT(), *MARIADB)
_seconds: TypeEngine[datetime] = sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]
_date: TypeEngine[datetime] = DateTime().with_variant(_seconds, "sqlite")


def _string(name: str, length: int, default: str = "") -> Column[str]:
    return Column(name, String(length), nullable=False, server_default=default)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger(), nullable=False, server_default=text("0"))


def _text(name: str) -> Column[str]:
    return Column(name, _long, nullable=False, default="")


def _moment(name: str) -> Column[datetime]:
    return Column(name, _date, nullable=False, default=NO_DATE)


posts = Table(
    "wp_posts",
    metadata,
    Column("ID", _id, primary_key=True, autoincrement=True),
    _number("post_author"),
    _moment("post_date"),
    _moment("post_date_gmt"),
    _text("post_content"),
    _text("post_title"),
    _text("post_excerpt"),
    _string("post_status", 20, "publish"),
    _string("comment_status", 20, "open"),
    _string("ping_status", 20, "open"),
    _string("post_password", 255),
    _string("post_name", 200),
    _text("to_ping"),
    _text("pinged"),
    _moment("post_modified"),
    _moment("post_modified_gmt"),
    _text("post_content_filtered"),
    _number("post_parent"),
    _string("guid", 255),
    _number("menu_order"),
    _string("post_type", 20, "post"),
    _string("post_mime_type", 100),
    _number("comment_count"),
    Index("post_name", "post_name", mysql_length={"post_name": 191}, mariadb_length={"post_name": 191}),
    Index("type_status_date", "post_type", "post_status", "post_date", "ID"),
)

postmeta = Table(
    "wp_postmeta",
    metadata,
    Column("meta_id", _id, primary_key=True, autoincrement=True),
    _number("post_id"),
    Column("meta_key", String(255)),
    Column("meta_value", _long),
    Index("post_id", "post_id"),
    Index("meta_key", "meta_key", mysql_length={"meta_key": 191}, mariadb_length={"meta_key": 191}),
)

terms = Table(
    "wp_terms",
    metadata,
    Column("term_id", _id, primary_key=True, autoincrement=True),
    _string("name", 200),
    _string("slug", 200),
    _number("term_group"),
    Index("slug", "slug", mysql_length={"slug": 191}, mariadb_length={"slug": 191}),
)

term_taxonomy = Table(
    "wp_term_taxonomy",
    metadata,
    Column("term_taxonomy_id", _id, primary_key=True, autoincrement=True),
    _number("term_id"),
    _string("taxonomy", 32),
    _text("description"),
    _number("parent"),
    _number("count"),
    Index("term_id_taxonomy", "term_id", "taxonomy", unique=True),
)

term_relationships = Table(
    "wp_term_relationships",
    metadata,
    Column("object_id", _id, primary_key=True, autoincrement=False),
    Column("term_taxonomy_id", _id, primary_key=True, autoincrement=False),
    Column("term_order", Integer(), nullable=False, server_default=text("0")),
    Index("term_taxonomy_id", "term_taxonomy_id"),
)

options = Table(
    "wp_options",
    metadata,
    Column("option_id", _id, primary_key=True, autoincrement=True),
    Column("option_name", String(191), nullable=False, unique=True),
    _text("option_value"),
    _string("autoload", 20, "yes"),
)

#: The highest fence that wrote under a name: `publish:main` and friends.
fences = Table(
    "anp_fence",
    metadata,
    Column("name", String(191), primary_key=True),
    Column("fence", BigInteger(), nullable=False),
)
