"""Sources to import: rows that are alike on every machine, written as NDJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from worker.demo import filling
from worker.site import database
from worker.site.importing.tables import changes, sources
from worker.site.posts import utc_now
from worker.site.tables import postmeta, posts, term_relationships, terms

WORDS = "Nothing is scheduled twice, and nothing that was scheduled is lost; who doubts it looks into the ledger. "


def rows(count: int, *, edition: str = "", first: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of a feed; another edition has other texts under the same ids."""
    for number in range(first, first + count):
        yield {
            "id": f"a{number}",
            "title": f"Imported {number}{edition}",
            "slug": f"imported-{number}",
            "content": f"<p>{WORDS * 4}{number}{edition}</p>",
            "excerpt": f"About {number}",
            "date": f"2025-0{1 + number % 9}-{1 + number % 28:02d}T{number % 24:02d}:15:00+01:00",
            "tags": [f"Feed {number % 7}", "Imported"],
        }


def ndjson(path: Path, given: Iterator[dict[str, Any]]) -> Path:
    """Write rows; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in given:
            file.write(json.dumps(row) + "\n")
    return path


def site(url: str, count: int = 50) -> Engine:
    """A site with some posts."""
    engine = database.engine(url)
    filling.fill(engine, utc_now(), count)
    return engine


def content(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that a rollback must leave as it was: posts, tags, and what is kept beside them. Ids of tags are left out."""
    named = select(term_relationships.c.object_id, term_relationships.c.term_taxonomy_id)
    queries = {
        "posts": select(posts).order_by(posts.c.ID),
        "relations": named.order_by(*named.selected_columns),
        "terms": select(terms.c.name, terms.c.slug).order_by(terms.c.slug),
        "meta": select(postmeta.c.post_id, postmeta.c.meta_key, postmeta.c.meta_value)
        .where(postmeta.c.meta_key != "_anp_stale")
        .order_by(postmeta.c.post_id, postmeta.c.meta_key),
    }
    with database.reading(engine) as connection:
        return {name: [tuple(row) for row in connection.execute(query)] for name, query in queries.items()}


def counts(engine: Engine) -> dict[str, int]:
    """Rows of posts, of source rows, of what can be taken back, and all that is recorded of runs."""
    count = select(func.count())
    queries = {
        "posts": count.select_from(posts),
        "sources": count.select_from(sources),
        "changes": count.select_from(changes).where(changes.c.kind.in_(("added", "changed"))),
        "records": count.select_from(changes),
    }
    with database.reading(engine) as connection:
        return {name: connection.scalar(query) or 0 for name, query in queries.items()}
