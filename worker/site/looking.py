"""Is the declaration right? Pages are rendered and compared before and after a post's change.

Each page is looked at twice: what differs by itself (a nonce, a clock) proves nothing and is told apart.
Limit: it sees the pages that it looks at, all declared ones up to a limit and a sample of the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from celery_anp.errors import BadInput
from worker.settings import Settings
from worker.site import purging, warm, worth
from worker.site.affected import Shown
from worker.site.served.chosen import chosen
from worker.site.warm import Manners

#: Other posts whose pages are looked at too.
OTHERS = 8


class Seen(BaseModel):
    """A page as it was seen."""

    model_config = ConfigDict(frozen=True)

    #: HTTP status, 0 for no answer.
    status: int
    #: Digest of its body, without what the declaration ignores.
    digest: str
    #: Whether two renderings in a row were the same.
    stable: bool
    #: Whether the declaration names it for the post.
    declared: bool


class Look(BaseModel):
    """What a site's pages looked like."""

    model_config = ConfigDict(frozen=True)

    #: wp_posts.ID of the post whose change is to come.
    post: int
    #: The site.
    site: str
    #: By path.
    pages: dict[str, Seen]


class Verdict(BaseModel):
    """How the declaration compares with what changed."""

    model_config = ConfigDict(frozen=True)

    post: int
    #: Pages that were looked at.
    pages: int
    #: Declared, and changed: right.
    right: int
    #: Neither: right too.
    untouched: int
    #: Declared, and did not change: cleared for nothing.
    declared_unchanged: list[str]
    #: Changed, and not declared: old pages stay in the cache.
    undeclared_changed: list[str]
    #: Differ by themselves, so nothing can be said; `ignore` in the declaration can help.
    unstable: list[str]
    #: Did not answer.
    failed: list[str]

    @property
    def ok(self) -> bool:
        """Whether no old page stays in the cache: what is cleared for nothing only costs time."""
        return not self.undeclared_changed and not self.failed and self.right > 0


def look(known: Settings, post: int, limit: int = 200, concurrency: int = 4) -> Look:
    """See the pages that the declaration names for a post, and some that it does not.

    Args:
        known: the settings.
        post: wp_posts.ID; it may be one that is still to be published.
        limit: pages to look at, at most; a part of them is kept for undeclared ones.
        concurrency: requests at the same time, at most.

    Raises:
        BadInput: there is no such post.
        BadSitemap, BadSetting, BadDeclaration: as `worth.paths`.
    """
    shown = Shown.connect(known)
    declared = shown.by([post])
    if not declared:
        raise BadInput("The declaration names no page for this post", expected="the id of a post", given=str(post))
    others = shown.by([one for one in shown.some_posts(OTHERS) if one != post])
    others = list(dict.fromkeys([*worth.paths(known, 10 * limit), shown.declaration.sitemap, *others]))
    others = [path for path in others if path not in set(declared)]
    chosen = _spread(declared, limit - min(len(others), limit // 3))
    chosen += _spread(others, limit - len(chosen))
    return Look(post=post, site=known.site_url, pages=_seen(known, shown, chosen, set(declared), concurrency))


def verify(known: Settings, before: Look, concurrency: int = 4) -> Verdict:
    """See the same pages again, after the change.

    Args:
        known: the settings.
        before: from `look`.
        concurrency: requests at the same time, at most.

    Raises:
        BadInput: that was another site.
    """
    if before.site != known.site_url:
        raise BadInput("This was seen on another site", expected=known.site_url, given=before.site)
    shown = Shown.connect(known)
    # As it is declared now: a declaration that was mended meanwhile is tried without a further publish.
    declared = set(shown.by([before.post])) & set(before.pages)
    after = _seen(known, shown, list(before.pages), declared, concurrency)
    steady = [path for path, seen in after.items() if seen.stable and before.pages[path].stable]
    changed = {path for path in steady if after[path].digest != before.pages[path].digest}
    failed = {path for path, seen in after.items() if not seen.status or seen.status >= 500}
    return Verdict(
        post=before.post,
        pages=len(after),
        right=len(changed & declared),
        untouched=len(set(steady) - changed - declared),
        declared_unchanged=sorted(declared.intersection(steady) - changed - failed),
        undeclared_changed=sorted(changed - declared - failed),
        unstable=sorted(set(after) - set(steady) - failed),
        failed=sorted(failed),
    )


def read(text: str) -> Look:
    """A look that was written to a file.

    Raises:
        BadInput: it is none.
    """
    try:
        return Look.model_validate_json(text)
    except ValidationError as error:
        raise BadInput("This is no look", expected="a file of `anp cache look`", given=str(error)[:200]) from None


def _spread(paths: Sequence[str], limit: int) -> list[str]:
    """The first half as it is, the rest evenly over what follows: what matters most is declared first."""
    if len(paths) <= limit:
        return list(paths)
    head = limit // 2
    rest = paths[head:]
    step = len(rest) / max(1, limit - head)
    return [*paths[:head], *(rest[int(place * step)] for place in range(limit - head))]


def _seen(known: Settings, shown: Shown, paths: Sequence[str], declared: set[str], concurrency: int) -> dict[str, Seen]:
    ignore = [re.compile(expression) for expression in shown.declaration.ignore]
    rounds = [_digests(known, paths, ignore, concurrency) for _ in range(2)]
    return {
        path: Seen(
            status=rounds[1][path][0],
            digest=rounds[1][path][1],
            stable=rounds[0][path] == rounds[1][path],
            declared=path in declared,
        )
        for path in paths
    }


def _digests(
    known: Settings, paths: Sequence[str], ignore: Sequence[re.Pattern[str]], concurrency: int
) -> dict[str, tuple[int, str]]:
    """Status and digest of each page, rendered now."""
    headers = purging.header(known)
    if known.page_cache != "refresh":
        chosen(known).page_cache().purge(paths)
        headers = {}
    manners = Manners(concurrency, timeout=30, error_limit=1, headers=headers, bodies=True)
    return {
        visit.path: (visit.status, _digest(visit.body, ignore)) for visit in warm.visit(known.site_url, paths, manners)
    }


def _digest(body: bytes, ignore: Sequence[re.Pattern[str]]) -> str:
    text = body.decode("utf-8", "replace")
    for expression in ignore:
        text = expression.sub("", text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
