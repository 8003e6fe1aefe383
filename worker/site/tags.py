"""Tags of posts and how many public posts each has, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select, update

from worker.site.tables import posts, term_relationships, term_taxonomy, terms

TAXONOMY = "post_tag"
_TAGS = terms.join(term_taxonomy, term_taxonomy.c.term_id == terms.c.term_id)
_TAGGED = _TAGS.join(term_relationships, term_relationships.c.term_taxonomy_id == term_taxonomy.c.term_taxonomy_id)


def of_posts(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The tag slugs of each of these posts, sorted; posts without tags are left out."""
    query = select(term_relationships.c.object_id, terms.c.slug).select_from(_TAGGED)
    query = query.where(term_taxonomy.c.taxonomy == TAXONOMY, term_relationships.c.object_id.in_(ids))
    found: dict[int, tuple[str, ...]] = {}
    for post_id, slug in connection.execute(query.order_by(terms.c.slug)):
        found[post_id] = (*found.get(post_id, ()), slug)
    return found


def counts(connection: Connection, slugs: Collection[str] | None = None) -> dict[str, int]:
    """How many public posts each tag has, by slug, as the database keeps it.

    Args:
        slugs: only these tags; all of them when left out.
    """
    query = select(terms.c.slug, term_taxonomy.c.count).select_from(_TAGS)
    query = query.where(term_taxonomy.c.taxonomy == TAXONOMY).order_by(terms.c.slug)
    if slugs is not None:
        query = query.where(terms.c.slug.in_(slugs))
    return {row.slug: row[1] for row in connection.execute(query)}


def recount(connection: Connection, ids: Sequence[int] | None = None) -> None:
    """Count the public posts again for every term that these posts have; for all terms without `ids`.

    Counted and not added up, so that a drift that was there before is mended.
    """
    relation = term_relationships
    public = select(func.count()).select_from(relation.join(posts, relation.c.object_id == posts.c.ID))
    public = public.where(
        relation.c.term_taxonomy_id == term_taxonomy.c.term_taxonomy_id, posts.c.post_status == "publish"
    )
    change = update(term_taxonomy).values(count=public.correlate(term_taxonomy).scalar_subquery())
    if ids is not None:
        touched = select(relation.c.term_taxonomy_id).where(relation.c.object_id.in_(ids)).distinct()
        change = change.where(term_taxonomy.c.term_taxonomy_id.in_(touched))
    connection.execute(change)
