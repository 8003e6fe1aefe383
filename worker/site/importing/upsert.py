"""One chunk of rows against what is there: added, changed or the same, by the source's id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, delete, insert, select

from worker.site.importing import columns, gone, tagging
from worker.site.importing.amending import amend
from worker.site.importing.rows import BadRow, Row, slugified
from worker.site.importing.tables import changes, sources
from worker.site.posts import described
from worker.site.tables import posts

PUBLIC = "publish"


@dataclass(slots=True)
class Applied:
    """What became of a chunk."""

    added: int = 0
    changed: int = 0
    same: int = 0
    bad: list[BadRow] = field(default_factory=list)
    #: wp_posts.ID of those whose pages are old now.
    stale: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk is written."""

    run: str
    source: str
    #: UTC without a zone.
    now: datetime
    #: Of the site.
    zone: tzinfo
    #: wp_users.ID of who new posts are by.
    author: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is there for a row of the source."""

    digest: str
    #: None: the post was deleted since.
    post: int | None


def apply(connection: Connection, place: Place, rows: Sequence[tuple[int, Row]]) -> Applied:
    """Write a chunk.

    Args:
        connection: inside a write transaction, behind the fence.
        place: run, source and time.
        rows: with their lines; no id is there twice.
    """
    applied = Applied()
    there = _there(connection, place.source, [row.id for _, row in rows])
    fresh, other = [], []
    for line, row in rows:
        known = there.get(row.id)
        if known is None or known.post is None:
            fresh.append((line, row))
        elif known.digest != row.digest():
            other.append((line, row))
        else:
            applied.same += 1
    taken = _taken(connection, [*fresh, *((line, row) for line, row in other if row.slug)], there)
    applied.bad = list(taken.values())
    new = [row for line, row in fresh if line not in taken]
    old = {there[row.id].post: row for line, row in other if line not in taken}
    tags = _tags(connection, place, [*new, *old.values()])
    _add(connection, place, new, tags, applied)
    _change(connection, place, {post: row for post, row in old.items() if post is not None}, there, tags, applied)
    return applied


def _there(connection: Connection, source: str, ids: Sequence[str]) -> dict[str, Known]:
    query = select(sources.c.source_id, sources.c.digest, posts.c.ID)
    query = query.outerjoin_from(sources, posts, sources.c.post_id == posts.c.ID)
    query = query.where(sources.c.source == source, sources.c.source_id.in_(ids))
    return {row.source_id: Known(row.digest, row.ID) for row in connection.execute(query)}


def _taken(connection: Connection, rows: Sequence[tuple[int, Row]], there: Mapping[str, Known]) -> dict[int, BadRow]:
    """Rows, by line, whose slug belongs to another post already or to a row before them."""
    query = select(posts.c.ID, posts.c.post_name, posts.c.post_type)
    query = query.where(posts.c.post_name.in_({row.path for _, row in rows}), posts.c.post_status != "trash")
    holders: dict[tuple[str, str], int | str] = {}
    for post, name, kind in connection.execute(query):
        holders[kind, name.lower()] = post
    found: dict[int, BadRow] = {}
    for line, row in rows:
        own = there[row.id].post if row.id in there else None
        holder = holders.setdefault((row.type, row.path), own or row.id)
        if holder not in (own, row.id):
            reason = (
                f"it is the slug of post {holder} already" if isinstance(holder, int) else f"row {holder!r} has it too"
            )
            found[line] = BadRow(line=line, field="slug", reason=reason, given=repr(row.path))
    return found


def _tags(connection: Connection, place: Place, rows: Sequence[Row]) -> dict[str, int]:
    names = {name for row in rows for name in row.tags or ()}
    found, made = tagging.ids(connection, names) if names else ({}, [])
    _record(connection, place, [("tag", tag, "", {}) for tag in made])
    return found


def _add(connection: Connection, place: Place, rows: Sequence[Row], tags: Mapping[str, int], applied: Applied) -> None:
    if not rows:
        return
    values = [columns.of_row(row, place.now, place.zone) for row in rows]
    own = [{"post_author": place.author, "guid": _guid(place.source, row)} for row in rows]
    made = connection.scalars(
        insert(posts).returning(posts.c.ID, sort_by_parameter_order=True),
        [{**one, **value} for one, value in zip(own, values, strict=True)],
    ).all()
    connection.execute(
        delete(sources).where(sources.c.source == place.source, sources.c.source_id.in_([r.id for r in rows]))
    )
    connection.execute(
        insert(sources),
        [
            {"source": place.source, "source_id": row.id, "post_id": post, "digest": row.digest()}
            for row, post in zip(rows, made, strict=True)
        ],
    )
    wanted = {post: [tags[slugified(name)] for name in row.tags or ()] for row, post in zip(rows, made, strict=True)}
    tagging.replace(connection, {post: found for post, found in wanted.items() if found})
    told = [
        ("added", post, row.id, {"mark": columns.mark(value)})
        for row, post, value in zip(rows, made, values, strict=True)
    ]
    _record(connection, place, told)
    applied.added += len(rows)
    applied.stale += [post for post, value in zip(made, values, strict=True) if value["post_status"] == PUBLIC]


def _change(
    connection: Connection,
    place: Place,
    rows: Mapping[int, Row],
    there: Mapping[str, Known],
    tags: Mapping[str, int],
    applied: Applied,
) -> None:
    if not rows:
        return
    lock = select(*columns.all_written()).where(posts.c.ID.in_(rows)).with_for_update()
    before = {row["ID"]: row for row in connection.execute(lock).mappings()}
    tagged = tagging.of_posts(connection, list(rows))
    public = described(connection, [post for post, row in before.items() if row["post_status"] == PUBLIC])
    values = {post: columns.of_row(row, place.now, place.zone) for post, row in rows.items()}
    for post, row in rows.items():
        if row.slug is None:  # another title is no other address
            values[post]["post_name"] = before[post]["post_name"]
    told = [
        ("changed", post, row.id, {
            "mark": columns.mark(values[post]), "before": columns.kept(before[post]),
            "tags": tagged.get(post, []), "digest": there[row.id].digest,
        })
        for post, row in rows.items()
    ]  # fmt: skip
    _record(connection, place, told)
    amend(connection, posts, [{"ID": post, **value} for post, value in values.items()])
    named = [{"source_id": row.id, "post_id": post, "digest": row.digest()} for post, row in rows.items()]
    amend(connection, sources, [{"source": place.source, **one} for one in named])
    given = {post: row.tags for post, row in rows.items() if row.tags is not None}
    tagging.replace(connection, {post: [tags[slugified(name)] for name in names] for post, names in given.items()})
    gone.note(connection, place.run, set(public) - set(described(connection, [post.id for post in public])))
    applied.changed += len(rows)
    applied.stale += [
        post for post, value in values.items() if PUBLIC in (value["post_status"], before[post]["post_status"])
    ]


def _guid(source: str, row: Row) -> str:
    """What feeds know the post by, for ever."""
    return f"urn:anp:{source}:{quote(row.id, safe='')}"[:255]


def _record(connection: Connection, place: Place, told: Sequence[tuple[str, int, str, dict[str, Any]]]) -> None:
    """What the run did, for who takes it back."""
    rows = [
        {"run_id": place.run, "kind": kind, "item": item, "source_id": source_id, "kept": json.dumps(kept)}
        for kind, item, source_id, kept in told
    ]
    if rows:
        connection.execute(insert(changes), rows)
