"""Tags of imported posts, in the caller's transaction. Only tags: a post's categories are not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from worker.site.importing.rows import slugified
from worker.site.tables import posts, terms
from worker.site.tables import term_relationships as relations
from worker.site.tables import term_taxonomy as taxonomy
from worker.site.tags import TAXONOMY

#: Kinds of terms whose count is that of their public posts.
COUNTED = (TAXONOMY, "category")


def ids(connection: Connection, names: Iterable[str]) -> tuple[dict[str, int], list[int]]:
    """The term_taxonomy_id of each of these tags, by slug; tags that are missing are made.

    Returns:
        Ids by slug, and those of them that were made now.
    """
    wanted = {slugified(name): name for name in names}
    found = _known(connection, wanted)
    missing = {slug: name for slug, name in wanted.items() if slug not in found}
    made = [_make(connection, slug, name) for slug, name in missing.items()]
    return {**found, **dict(zip(missing, made, strict=True))}, made


def of_posts(connection: Connection, ids: Sequence[int]) -> dict[int, list[int]]:
    """The tags' ids of each of these posts; posts without tags are left out."""
    query = select(relations.c.object_id, relations.c.term_taxonomy_id).join(
        taxonomy, taxonomy.c.term_taxonomy_id == relations.c.term_taxonomy_id
    )
    query = query.where(taxonomy.c.taxonomy == TAXONOMY, relations.c.object_id.in_(ids))
    found: dict[int, list[int]] = {}
    for post, tag in connection.execute(query.order_by(relations.c.term_taxonomy_id)):
        found.setdefault(post, []).append(tag)
    return found


def replace(connection: Connection, wanted: Mapping[int, Sequence[int]]) -> None:
    """Give each of these posts exactly these tags."""
    clear(connection, list(wanted))
    rows = [{"object_id": post, "term_taxonomy_id": tag} for post, tags in wanted.items() for tag in sorted(set(tags))]
    if rows:
        connection.execute(insert(relations), rows)


def clear(connection: Connection, ids: Sequence[int]) -> None:
    """Take all tags from these posts."""
    if ids:
        ours = select(taxonomy.c.term_taxonomy_id).where(taxonomy.c.taxonomy == TAXONOMY)
        connection.execute(
            delete(relations).where(relations.c.object_id.in_(ids), relations.c.term_taxonomy_id.in_(ours))
        )


def recount(connection: Connection) -> None:
    """Count the public posts of each tag and category again; menus and links are counted otherwise, and not by us."""
    public = select(func.count()).select_from(relations.join(posts, relations.c.object_id == posts.c.ID))
    public = public.where(relations.c.term_taxonomy_id == taxonomy.c.term_taxonomy_id, posts.c.post_status == "publish")
    counted = update(taxonomy).where(taxonomy.c.taxonomy.in_(COUNTED))
    connection.execute(counted.values(count=public.correlate(taxonomy).scalar_subquery()))


def remove_unused(connection: Connection, tags: Sequence[int]) -> int:
    """Remove those of these tags that no post has any more; how many that were."""
    used = set(connection.scalars(select(relations.c.term_taxonomy_id).where(relations.c.term_taxonomy_id.in_(tags))))
    gone = [tag for tag in tags if tag not in used]
    if gone:
        names = list(connection.scalars(select(taxonomy.c.term_id).where(taxonomy.c.term_taxonomy_id.in_(gone))))
        connection.execute(delete(taxonomy).where(taxonomy.c.term_taxonomy_id.in_(gone)))
        # A term may be a category as well.
        kept = select(taxonomy.c.term_id).where(taxonomy.c.term_id.in_(names))
        left = set(connection.scalars(kept))
        connection.execute(delete(terms).where(terms.c.term_id.in_([name for name in names if name not in left])))
    return len(gone)


def _known(connection: Connection, slugs: Iterable[str]) -> dict[str, int]:
    query = select(terms.c.slug, taxonomy.c.term_taxonomy_id).join(taxonomy, taxonomy.c.term_id == terms.c.term_id)
    query = query.where(taxonomy.c.taxonomy == TAXONOMY, terms.c.slug.in_(list(slugs)))
    return {row.slug: row.term_taxonomy_id for row in connection.execute(query)}


def _make(connection: Connection, slug: str, name: str) -> int:
    term = connection.execute(insert(terms).values(name=name[:200], slug=slug)).inserted_primary_key
    assert term is not None
    values = {"term_id": term[0], "taxonomy": TAXONOMY, "description": ""}
    made = connection.execute(insert(taxonomy).values(values)).inserted_primary_key
    assert made is not None
    return int(made[0])
