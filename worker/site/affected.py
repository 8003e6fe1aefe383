"""The pages that a post's change affects: the site's declaration, filled in from its database.

One path for demo and WordPress: both have WordPress' tables. Limit: what it says is as good as the declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Integer, cast, func, select

from worker.settings import Settings
from worker.site import categories, database, lists, tags
from worker.site.declared import Affected, Declaration, load
from worker.site.pages import list_path
from worker.site.posts import Post
from worker.site.prefixed import Tables, named
from worker.site.tables import NO_DATE

#: Posts in one part of WordPress' sitemap.
SITEMAP_PART = 2000
CATEGORY, TAG = categories.TAXONOMY, tags.TAXONOMY


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a post its pages' paths name."""

    id: int
    slug: str
    #: In the site's own time zone, as its archives go.
    date: datetime
    #: Its author's part of the URL; empty where it is not known.
    author: str
    #: Paths of its categories with those above them (`news/world`), and how many public posts each list has.
    categories: dict[str, int]
    #: Slugs of its tags, and how many public posts each has.
    tags: dict[str, int]


class Shown:
    """Knows the pages that show a site's posts.

    Args:
        engine: of the site's database.
        tables: under the site's prefix.
        declaration: which pages a post's change affects.
    """

    def __init__(self, engine: Engine, tables: Tables, declaration: Declaration) -> None:
        self.engine = engine
        self.tables = tables
        self.declaration = declaration

    @classmethod
    def connect(cls, known: Settings) -> Shown:
        """The site that the settings name.

        Raises:
            BadSetting, BadDeclaration: database or declaration cannot be used.
        """
        return cls(database.existing(known.database_url), named(known.wordpress_table_prefix), load(known))

    def by(self, ids: Sequence[int]) -> list[str]:
        """The paths of every page that changes when these posts appear, change or go; unknown ids are left out.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        with database.reading(self.engine) as connection:
            return self._showing(connection, self.subjects(connection, ids))

    def as_they_were(self, posts: Sequence[Post]) -> list[str]:
        """The paths of the pages that showed posts which are gone, renamed or lost a tag since.

        Limit: author and categories of such a post are not known any more, so their lists are not among them.
        """
        with database.reading(self.engine) as connection:
            counts = self._count(connection, TAG)
            return self._showing(connection, [
                Subject(post.id, post.slug, post.date, "", {}, {tag: counts.get(tag, 0) for tag in post.tags})
                for post in posts
            ])  # fmt: skip

    def of_tag(self, slug: str) -> list[str]:
        """The declared pages of one tag's list."""
        with database.reading(self.engine) as connection:
            count = self._count(connection, TAG).get(slug, 0)
            subject = Subject(0, "", NO_DATE, "", {}, {slug: count})
            entries = [entry for entry in self.declaration.page if entry.words == {"tag"}]
            return [path for entry in entries for path in self._paths(connection, entry, subject)]

    def some_posts(self, limit: int) -> list[int]:
        """Ids of public posts, spread evenly over all of them."""
        posts = self.tables.posts
        query = select(posts.c.ID).where(posts.c.post_type == "post", posts.c.post_status == "publish")
        with database.reading(self.engine) as connection:
            ids = list(connection.scalars(query.order_by(posts.c.ID)))
        return ids[:: max(1, len(ids) // limit)][:limit]

    def most_viewed(self, limit: int, key: str = "views") -> list[str]:
        """Paths of the public posts with the most views, most first.

        Args:
            limit: how many at most.
            key: the postmeta where the site counts views.
        """
        posts, meta = self.tables.posts, self.tables.postmeta
        query = select(posts.c.ID).join(meta, meta.c.post_id == posts.c.ID)
        query = query.where(posts.c.post_type == "post", posts.c.post_status == "publish", meta.c.meta_key == key)
        query = query.order_by(cast(meta.c.meta_value, Integer).desc(), posts.c.ID).limit(limit)
        own = [entry for entry in self.declaration.page if entry.every is None and "slug" in entry.words]
        with database.reading(self.engine) as connection:
            ids = list(connection.scalars(query))
            subjects = {subject.id: subject for subject in self.subjects(connection, ids)}
            return [path for post_id in ids for entry in own[:1]
                     for path in self._paths(connection, entry, subjects[post_id])]  # fmt: skip

    def subjects(self, connection: Connection, ids: Sequence[int]) -> list[Subject]:
        """What the paths name of these posts, in the order of their ids."""
        posts = self.tables.posts
        query = select(posts.c.ID, posts.c.post_name, posts.c.post_date, posts.c.post_author)
        rows = connection.execute(query.where(posts.c.ID.in_(ids)).order_by(posts.c.ID)).all()
        authors = self._authors(connection, {row.post_author for row in rows})
        tagged, tree = self._of(connection, ids, TAG), categories.Tree(connection, self.tables)
        counts, filed = self._count(connection, TAG), self._of(connection, ids, CATEGORY)
        return [
            Subject(
                row.ID, row.post_name, row.post_date, authors.get(row.post_author, ""),
                tree.above([term for term, _ in filed.get(row.ID, ())]),
                {slug: counts.get(slug, 0) for _, slug in tagged.get(row.ID, ())},
            )
            for row in rows
        ]  # fmt: skip

    # -- inside -----------------------------------------------------------------------------------

    def _showing(self, connection: Connection, subjects: Sequence[Subject]) -> list[str]:
        found: dict[str, None] = {}
        for subject in subjects:
            for entry in self.declaration.page:
                if entry.every is None:
                    found.update(dict.fromkeys(self._paths(connection, entry, subject)))
        if found:
            for entry in self.declaration.page:
                if entry.every is not None:
                    found.update(dict.fromkeys(self._every(connection, entry)))
        return list(found)

    def _paths(self, connection: Connection, entry: Affected, post: Subject) -> Iterator[str]:
        for words in _words(entry, post, self._sitemaps(connection, entry, post)):
            # A slug that WordPress has encoded stays as it is: its links, and so the cache's keys, are in lower case.
            base = entry.path.format_map({name: quote(value, safe="/%") for name, value in words.items()})
            if entry.pages == 1:
                yield base
                continue
            length = lists.pages(connection, self.tables, self._length(connection, post, words))
            last = length if entry.pages == "all" else min(entry.pages, length)
            yield from (list_path(base, page) for page in range(1, last + 1))

    def _every(self, connection: Connection, entry: Affected) -> Iterator[str]:
        posts = self.tables.posts
        wanted = posts.c.post_type == "post", posts.c.post_status == "publish"
        if entry.words <= {"slug", "id"}:
            for row in connection.execute(select(posts.c.ID, posts.c.post_name).where(*wanted).order_by(posts.c.ID)):
                yield entry.path.format(slug=quote(row.post_name, safe="/%"), id=row.ID)
            return
        ids = list(connection.scalars(select(posts.c.ID).where(*wanted).order_by(posts.c.ID)))
        for subject in self.subjects(connection, ids):
            yield from self._paths(connection, entry, subject)

    def _length(self, connection: Connection, post: Subject, words: dict[str, str]) -> int:
        """How many public posts the list has."""
        if "tag" in words:
            return post.tags[words["tag"]]
        if "category" in words:
            return post.categories[words["category"]]
        since = f"{post.date:%Y-%m-%d}"[: 10 if "day" in words else 7 if "month" in words else 4]
        return lists.length(
            connection, self.tables, author=words.get("author"), since=since if "year" in words else None
        )

    def _sitemaps(self, connection: Connection, entry: Affected, post: Subject) -> list[str]:
        if "sitemap" not in entry.words:
            return []
        posts = self.tables.posts
        public = posts.c.post_type == "post", posts.c.post_status == "publish"
        before = connection.scalar(select(func.count()).where(*public, post.id > posts.c.ID)) or 0
        after = connection.scalar(select(func.count()).where(*public, post.id < posts.c.ID)) or 0
        first, last = before // SITEMAP_PART + 1, (before + after) // SITEMAP_PART + 1
        return [str(part) for part in range(first, last + 1)]

    def _authors(self, connection: Connection, ids: set[int]) -> dict[int, str]:
        users = self.tables.users
        if not any("author" in entry.words for entry in self.declaration.page):
            return {}
        rows = connection.execute(select(users.c.ID, users.c.user_nicename).where(users.c.ID.in_(ids)))
        return {row.ID: row.user_nicename for row in rows}

    def _of(self, connection: Connection, ids: Sequence[int], taxonomy: str) -> dict[int, list[tuple[int, str]]]:
        """The terms of each post: term id and slug."""
        relation, kind, terms = self.tables.term_relationships, self.tables.term_taxonomy, self.tables.terms
        query = select(relation.c.object_id, terms.c.term_id, terms.c.slug)
        query = query.join(kind, kind.c.term_taxonomy_id == relation.c.term_taxonomy_id)
        query = query.join(terms, terms.c.term_id == kind.c.term_id)
        found: dict[int, list[tuple[int, str]]] = {}
        for row in connection.execute(query.where(kind.c.taxonomy == taxonomy, relation.c.object_id.in_(ids))):
            found.setdefault(row.object_id, []).append((row.term_id, row.slug))
        return found

    def _count(self, connection: Connection, taxonomy: str) -> dict[str, int]:
        kind, terms = self.tables.term_taxonomy, self.tables.terms
        query = select(terms.c.slug, kind.c["count"]).join(kind, kind.c.term_id == terms.c.term_id)
        rows = connection.execute(query.where(kind.c.taxonomy == taxonomy))
        return {row[0]: row[1] for row in rows}


def _words(entry: Affected, post: Subject, sitemaps: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every way to fill in an entry's path for a post; none where the post lacks what it names."""
    known: dict[str, list[str]] = {
        "slug": [post.slug], "id": [str(post.id)], "author": [post.author] if post.author else [],
        "category": list(post.categories), "tag": list(post.tags), "sitemap": list(sitemaps),
        "year": [f"{post.date:%Y}"], "month": [f"{post.date:%m}"], "day": [f"{post.date:%d}"],
    }  # fmt: skip
    names = sorted(entry.words)
    for values in product(*(known[name] for name in names)):
        yield dict(zip(names, values, strict=True))
