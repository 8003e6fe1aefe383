"""A row as WordPress keeps it, and back: the columns an import writes, and those by which a later change is noticed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from worker.site.importing.rows import Row
from worker.site.tables import NO_DATE, options, posts

DATES = ("post_date", "post_date_gmt", "post_modified", "post_modified_gmt")
#: What an import writes, and a rollback puts back.
WRITTEN = ("post_title", "post_name", "post_content", "post_excerpt", "post_status", "post_type", *DATES)
#: By these a post that somebody else changed is known.
MARKING = ("post_title", "post_name", "post_content", "post_excerpt", "post_status", "post_type")


class Values(Protocol):
    """Columns by name: a dictionary, or a row of the database."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""


def of_row(row: Row, now: datetime, zone: tzinfo) -> dict[str, Any]:
    """The columns that a row is written to.

    Args:
        row: a checked row.
        now: UTC without a zone.
        zone: of the site, for the columns with its local time.
    """
    date, modified = row.date or NO_DATE, row.modified or now
    # As WordPress does: what is to be public later is public later.
    later = row.status == "publish" and date > now
    return {
        "post_title": row.title,
        "post_name": row.path,
        "post_content": row.content,
        "post_excerpt": row.excerpt,
        "post_status": "future" if later else row.status,
        "post_type": row.type,
        "post_date": _local(date, zone),
        "post_date_gmt": date,
        "post_modified": _local(modified, zone),
        "post_modified_gmt": modified,
    }


def mark(columns: Values) -> str:
    """A digest by which a later change of the post is noticed; going live on time is none."""
    values = [columns[name] for name in MARKING]
    if columns["post_status"] == "future":
        values[MARKING.index("post_status")] = "publish"
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def kept(columns: Values) -> dict[str, Any]:
    """The columns as JSON, to be put back."""
    return {name: columns[name].isoformat() if name in DATES else columns[name] for name in WRITTEN}


def put_back(values: dict[str, Any]) -> dict[str, Any]:
    """What `kept` made, as columns."""
    return {name: datetime.fromisoformat(value) if name in DATES else value for name, value in values.items()}


def site_zone(connection: Connection) -> tzinfo:
    """The site's zone, as WordPress' options say it; UTC where they do not."""
    names = ("timezone_string", "gmt_offset")
    query = select(options.c.option_name, options.c.option_value).where(options.c.option_name.in_(names))
    said = {row.option_name: row.option_value for row in connection.execute(query)}
    try:
        if said.get("timezone_string"):
            return ZoneInfo(said["timezone_string"])
        return timezone(timedelta(hours=float(said.get("gmt_offset") or 0)))
    except (ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def all_written() -> list[Any]:
    """The columns of `wp_posts` that are read before they are replaced."""
    return [posts.c.ID, *(posts.c[name] for name in WRITTEN)]


def _local(moment: datetime, zone: tzinfo) -> datetime:
    if moment == NO_DATE:
        return moment
    return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
