"""One row, checked: what a source must say of a post, and what is wrong with a row that does not."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from celery_anp.errors import did_you_mean
from worker.site.importing.records import Record
from worker.site.importing.tables import ID_LENGTH

#: Characters of a wrong value that a report repeats.
SHOWN = 60
#: Characters of a reason.
LONGEST = 300
Text = Annotated[str, StringConstraints(max_length=2_000_000)]


def _named(value: object) -> object:
    """An id may be a number in JSON; true is none."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _moment(value: object, info: ValidationInfo) -> datetime | None:
    """A time as the database holds it: UTC, whole seconds, without a zone."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("a date as ISO 8601 writes it")  # noqa: TRY004  pydantic collects ValueErrors
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("a date as ISO 8601 writes it, like 2026-11-21T21:55:00Z") from None
    zone: tzinfo | None = (info.context or {}).get("zone")
    if found.tzinfo is None and zone is None:
        raise ValueError("the date has no zone: end it with Z or +01:00, or name the import's `timezone`")
    if not 1000 < found.year < 9999:
        raise ValueError("a year from 1001 to 9998")
    aware = found if found.tzinfo else found.replace(tzinfo=zone)
    return aware.astimezone(UTC).replace(tzinfo=None, microsecond=0)


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Row(BaseModel):
    """A post or a page as its source has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The source's own id: the same id is the same post, whatever else changes.
    id: Annotated[str, BeforeValidator(_named), StringConstraints(pattern=r"^\S(.*\S)?$", max_length=ID_LENGTH)]
    title: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    #: Its part of the URL; made from the title where it is not given.
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9%_-]+$", max_length=200)] | None = None
    content: Text = ""
    excerpt: Text = ""
    status: Literal["publish", "future", "draft", "pending", "private"] = "publish"
    type: Literal["post", "page"] = "post"
    #: When it is or was due. A draft may have none.
    date: Moment = None
    modified: Moment = None
    #: Names of its tags; where they are not given, those that it has stay.
    tags: Annotated[tuple[Tag, ...], Field(max_length=100)] | None = None

    def digest(self) -> str:
        """Equal rows have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def path(self) -> str:
        """Its slug, given or made."""
        return self.slug or slugified(self.title)


FIELDS = tuple(Row.model_fields)


class BadRow(BaseModel):
    """A row that cannot be imported."""

    model_config = ConfigDict(frozen=True)

    #: Where it begins in the source, from 1.
    line: int
    #: Which field is wrong; empty where the whole row is.
    field: str
    #: What is wrong.
    reason: str
    #: The beginning of what was given.
    given: str = ""

    def __str__(self) -> str:
        field = f", field {self.field!r}" if self.field else ""
        return f"line {self.line}{field}: {self.reason}" + (f", given {self.given}" if self.given else "")


def check(record: Record, zone: tzinfo | None) -> Row | BadRow:
    """The record as a row, or what is wrong with it.

    Args:
        record: with its fields, or with its problem.
        zone: of dates that carry none; None refuses those.
    """
    if record.fields is None:
        return BadRow(line=record.line, field="", reason=record.problem)
    try:
        row = Row.model_validate(record.fields, context={"zone": zone})
    except ValidationError as error:
        return _bad(record.line, error.errors(include_url=False))
    if row.date is None and row.status not in ("draft", "pending"):
        return BadRow(line=record.line, field="date", reason="missing, and only a draft needs none")
    return row


def _bad(line: int, problems: list[ErrorDetails]) -> BadRow:
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"])[:SHOWN]  # a source may call it what it likes, however long
    reason = first["msg"].removeprefix("Value error, ")[:LONGEST]
    if first["type"] == "extra_forbidden":
        reason = f"unknown.{did_you_mean(field, FIELDS)}".rstrip(".")
    if len(problems) > 1:
        reason += f" (and {len(problems) - 1} more)"
    return BadRow(
        line=line, field=field, reason=reason, given="" if first["type"] == "missing" else _shown(first["input"])
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def slugified(text: str) -> str:
    """A text as a part of a URL, as WordPress does it: `Über uns` is `uber-uns`; other scripts are percent-encoded."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return word[:200] or quote(text.strip().lower()[:60]).lower()[:200] or "untitled"
