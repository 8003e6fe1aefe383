"""The sitemap: an index and its parts, in a folder of its own, which `builds` makes the live one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

from worker.site import builds
from worker.site.pages import post_path
from worker.site.posts import Posts, utc_now

_SPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_OPENING = '<?xml version="1.0" encoding="UTF-8"?>\n'

#: (slug, last change in UTC) of one page.
Entry = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Built:
    """A sitemap that was written."""

    #: Name of its folder.
    name: str
    parts: int
    urls: int
    #: Public posts when the work began.
    public: int


def build(posts: Posts, home: Path, base_url: str, chunk: int, each: Callable[[int, int], None] | None = None) -> Built:
    """Write a sitemap of every public post, in a new folder that nobody sees yet.

    Args:
        posts: of the site.
        home: from `builds.folder`.
        base_url: of the site, without a closing slash.
        chunk: posts in one part, at most 50,000.
        each: called with (posts done, posts in all) after each part.

    Returns:
        What was built.

    Raises:
        OSError: the folder cannot be written; nothing is left in it.
    """
    made = builds.new_folder(home)
    try:
        return _write_all(posts, made, base_url, chunk, each or (lambda _done, _total: None))
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write_all(posts: Posts, made: Path, base_url: str, chunk: int, each: Callable[[int, int], None]) -> Built:
    total, parts, urls, after = posts.count(), 0, 0, 0
    while rows := posts.public(after, chunk):
        parts, urls, after = parts + 1, urls + len(rows), rows[-1][0]
        write_part(made, parts, base_url, [(slug, changed) for _, slug, changed in rows])
        each(urls, total)
    write_index(made, parts, base_url, utc_now())
    return Built(made.name, parts, urls, total)


def write_part(build: Path, number: int, base_url: str, entries: Sequence[Entry]) -> None:
    """Write one part.

    Args:
        build: its folder.
        number: of the part, from 1.
        base_url: of the site, without a closing slash.
        entries: the pages in it.
    """
    urls = (_located("url", base_url + post_path(slug), changed) for slug, changed in entries)
    _write(build / f"sitemap-{number}.xml", "urlset", urls)


def write_index(build: Path, parts: int, base_url: str, built: datetime) -> None:
    """Write the index that names the parts.

    Args:
        build: its folder.
        parts: how many were written.
        base_url: of the site, without a closing slash.
        built: time of the build, UTC.
    """
    names = (f"{base_url}/sitemap-{number}.xml" for number in range(1, parts + 1))
    _write(build / builds.INDEX, "sitemapindex", (_located("sitemap", name, built) for name in names))


def _located(tag: str, url: str, changed: datetime) -> str:
    return f"<{tag}><loc>{escape(url)}</loc><lastmod>{changed:%Y-%m-%dT%H:%M:%SZ}</lastmod></{tag}>\n"


def _write(path: Path, root: str, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write(f'{_OPENING}<{root} xmlns="{_SPACE}">\n')
        out.writelines(lines)
        out.write(f"</{root}>\n")
        out.flush()
        os.fsync(out.fileno())
