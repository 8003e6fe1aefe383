"""The queries that are watched, as TOML declares them: only reading statements, their values bound."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from celery_anp.errors import BadDeclaration, UnknownName, did_you_mean

SHIPPED = "site.toml"
_TABLES = re.compile(
    r"(?i)\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(?!(?:where|join|on|order|group|left|inner|limit)\b)(\w+))?"
)
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class Index(BaseModel):
    """An index of the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Name
    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)]
    #: What it is called; made up where it is only wanted.
    name: Name | None = None

    @property
    def called(self) -> Name:
        """Its name, or the one to give it."""
        return self.name or f"{self.table}_{'_'.join(self.columns)}"[:64]


class Query(BaseModel):
    """One [[query]] entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
    #: Who asks it, and how often.
    why: Annotated[str, StringConstraints(min_length=1)]
    #: One reading statement; `:name` stands for a value.
    sql: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
    values: dict[str, str | int | float] = Field(default_factory=dict)
    #: The index that it needs.
    index: Index | None = None

    @field_validator("sql")
    @classmethod
    def _only_reads(cls, sql: str) -> str:
        # The database refuses writes as well; this says it when the file is read.
        if not re.match(r"(?i)(select|with)\b", sql) or ";" in sql:
            raise ValueError("one statement that begins with SELECT or WITH, without a semicolon")
        return sql

    def digest(self) -> str:
        """Changes when the question does."""
        return hashlib.sha256(self.model_dump_json(include={"sql", "values"}).encode()).hexdigest()[:16]


def declared(files: Sequence[str] = ()) -> dict[str, Query]:
    """The watched queries by name.

    Args:
        files: TOML files; none means the one that comes with anp.

    Raises:
        BadDeclaration: a file cannot be read, or an entry cannot be right; names file, entry and field.
    """
    found: dict[str, Query] = {}
    for where, text in _texts(files):
        for query in _of(where, text):
            if query.name in found:
                raise BadDeclaration(f"{where}: two queries are called {query.name!r}")
            found[query.name] = query
    return found


def named(queries: dict[str, Query], names: Sequence[str]) -> list[Query]:
    """Some of the queries, all without names.

    Raises:
        UnknownName: there is none of that name.
    """
    for name in names:
        if name not in queries:
            raise UnknownName(f"There is no query {name!r}.{did_you_mean(name, queries)}")
    return [queries[name] for name in names] or list(queries.values())


def _texts(files: Sequence[str]) -> list[tuple[str, str]]:
    if not files:
        return [(SHIPPED, resources.files(__package__).joinpath(SHIPPED).read_text(encoding="utf-8"))]
    try:
        return [(file, Path(file).read_text(encoding="utf-8")) for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise BadDeclaration("A file of ANP_QUERIES cannot be read", given=str(error)) from None


def _of(where: str, text: str) -> list[Query]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadDeclaration(f"{where} is not TOML", given=str(error)) from None
    unknown = [name for name in document if name != "query"]
    if unknown or not isinstance(document.get("query"), list):
        raise BadDeclaration(f"{where}: only [[query]] entries are expected", given=", ".join(unknown) or "none")
    found = []
    for number, entry in enumerate(document["query"], start=1):
        try:
            found.append(Query.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            called = entry.get("name", number) if isinstance(entry, dict) else number
            raise BadDeclaration(f"{where}: query {called!r}, {at}: {first['msg']}") from None
    return found


def tables_by_alias(sql: str) -> dict[str, str]:
    """The tables of a query by the names it gives them: plans tell those."""
    return {(alias or table).lower(): table for table, alias in _TABLES.findall(sql)}
