"""WordPress' tables under the prefix of a site, and one of ours beside them: the register of events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

from worker.site import tables

PLAIN = "wp_"


@dataclass(frozen=True)
class Tables:
    """The tables of one site."""

    #: What their names begin with.
    prefix: str
    posts: Table
    postmeta: Table
    options: Table
    term_taxonomy: Table
    term_relationships: Table
    terms: Table
    users: Table
    #: Ours: what became of each event that was begun for anp.
    events: Table


@cache
def named(prefix: str) -> Tables:
    """The tables whose names begin with a prefix."""
    metadata = MetaData()

    def under(table: Table) -> Table:
        return table.to_metadata(metadata, name=prefix + table.name.removeprefix(PLAIN))

    return Tables(
        prefix=prefix,
        posts=under(tables.posts),
        postmeta=under(tables.postmeta),
        options=under(tables.options),
        term_taxonomy=under(tables.term_taxonomy),
        term_relationships=under(tables.term_relationships),
        terms=under(tables.terms),
        users=_users(metadata, f"{prefix}users"),
        events=_events(metadata, f"{prefix}anp_event"),
    )


def _users(metadata: MetaData, name: str) -> Table:
    """As far as the path of an author's pages needs it."""
    return Table(name, metadata, Column("ID", BigInteger(), primary_key=True), Column("user_nicename", String(50)))


def _events(metadata: MetaData, name: str) -> Table:
    long = Text().with_variant(mysql.LONGTEXT(), *tables.MARIADB)
    return Table(
        name,
        metadata,
        Column("event", String(40), primary_key=True),  # cron.Event.key
        Column("hook", String(255), nullable=False),
        Column("sig", String(64), nullable=False),
        Column("due", BigInteger(), nullable=False),
        Column("recurrence", String(64)),
        # planned -> begun -> done | failed | gone; or lost, once that was told
        Column("state", String(16), nullable=False, index=True),
        Column("run", String(191), nullable=False),
        Column("fence", BigInteger(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("limit_seconds", Integer(), nullable=False),
        Column("args", long),  # as PHP serialises them, for a second try
        Column("wp_lock", String(64)),  # the value of WordPress' own lock that its process took
        Column("planned", DateTime(), nullable=False),
        Column("began", DateTime()),
        Column("ended", DateTime()),
        Column("note", long),
    )
