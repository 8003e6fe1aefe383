"""What is worth warming: the front page, the most viewed posts, and what the site's own sitemap names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import httpx
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from celery_anp.errors import AnpError
from worker.settings import Settings
from worker.site.affected import Shown
from worker.site.pages import FEED, FRONT
from worker.site.warm import AGENT

#: Parts of a sitemap that are read, at most.
PARTS = 200
#: Bytes of one part, at most: the protocol's own limit.
LARGEST = 50 * 2**20


class BadSitemap(AnpError):
    """The site's sitemap cannot be read."""

    retry_safe = True


def paths(known: Settings, limit: int, *, views: str = "views", sitemap: bool = True) -> list[str]:
    """Paths to warm, what matters most first, each once.

    Args:
        known: the settings.
        limit: how many at most.
        views: the postmeta where the site counts views.
        sitemap: whether to go on with what the sitemap names when there are fewer.

    Raises:
        BadSitemap: it is needed, and does not answer or is none.
        BadSetting, BadDeclaration: the database or ANP_PAGES cannot be used.
    """
    shown = Shown.connect(known)
    found = dict.fromkeys([FRONT, FEED, *shown.most_viewed(limit, views)])
    if sitemap and len(found) < limit:
        for path in named(known.site_url, shown.declaration.sitemap):
            found[path] = None
            if len(found) >= limit:
                break
    return list(found)[:limit]


def named(site_url: str, sitemap: str) -> Iterator[str]:
    """The paths that a sitemap names, its parts one after the other; addresses of other hosts are left out.

    Raises:
        BadSitemap: it does not answer, or is none.
    """
    with httpx.Client(
        base_url=site_url, timeout=30, headers={"User-Agent": AGENT}, trust_env=False, follow_redirects=True
    ) as client:
        index = _read(client, sitemap)
        if _kind(index) != "sitemapindex":
            yield from _located(index, site_url)
            return
        for part in list(_located(index, site_url))[:PARTS]:
            yield from _located(_read(client, part), site_url)


def _read(client: httpx.Client, path: str) -> Any:
    try:
        answer = client.get(path)
        answer.raise_for_status()
        if len(answer.content) > LARGEST:
            raise BadSitemap("The sitemap is too large", expected=f"at most {LARGEST} bytes a part", given=path)
        return fromstring(answer.content)
    except (httpx.HTTPError, ParseError, DefusedXmlException) as error:
        raise BadSitemap(
            "The sitemap cannot be read", expected=f"a sitemap at {client.base_url}{path}", given=str(error)
        ) from None


def _kind(root: Any) -> str:
    return str(root.tag).rpartition("}")[2]


def _located(root: Any, site_url: str) -> Iterator[str]:
    ours = urlsplit(site_url).netloc
    for entry in root:
        for field in entry:
            if _kind(field) != "loc":
                continue
            address = urlsplit((field.text or "").strip())
            if address.netloc == ours and address.path.startswith("/"):
                yield address.path + (f"?{address.query}" if address.query else "")
