"""The categories of a site as a tree: a post of one is on the lists of all above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from worker.site.prefixed import Tables

TAXONOMY = "category"


class Tree:
    """The categories, each with those above it.

    Args:
        connection: to the site's database.
        tables: under the site's prefix.
    """

    def __init__(self, connection: Connection, tables: Tables) -> None:
        kind, terms = tables.term_taxonomy, tables.terms
        query = select(terms.c.term_id, terms.c.slug, kind.c.parent, kind.c["count"])
        query = query.join(kind, kind.c.term_id == terms.c.term_id).where(kind.c.taxonomy == TAXONOMY)
        rows: Any = connection.execute(query)
        self.rows: dict[int, tuple[str, int, int]] = {term: (slug, parent, count) for term, slug, parent, count in rows}
        self.sizes: dict[int, int] = {}
        for term, (_, _, count) in self.rows.items():
            for above in self.line(term):
                self.sizes[above] = self.sizes.get(above, 0) + count

    def line(self, term: int) -> list[int]:
        """A category and those above it, from the top down."""
        found: list[int] = []
        while term in self.rows and term not in found:  # a damaged tree may go in a circle
            found.append(term)
            term = self.rows[term][1]
        return found[::-1]

    def above(self, terms: Sequence[int]) -> dict[str, int]:
        """By path the lists of these categories and of those above them, with how many posts each has."""
        found: dict[str, int] = {}
        for term in terms:
            line = self.line(term)
            for depth in range(1, len(line) + 1):
                path = "/".join(self.rows[part][0] for part in line[:depth])
                found[path] = self.sizes[line[depth - 1]]
        return found
