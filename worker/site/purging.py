"""How pages leave the web server's page cache: by PURGE, by a header that renders anew, or as nginx' files.

Limit: a page whose rendering began before a purge may be kept after it, and a page that is also kept under another
query (`?utm_source=…`) stays there, until its time is over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from celery_anp.errors import AnpError, BadSetting
from worker.settings import Settings
from worker.site import warm
from worker.site.object_cache import ObjectCache
from worker.site.warm import Manners, Visit

#: What a PURGE answers for a page that is not kept: Varnish and nginx' modules differ.
NOT_KEPT = (404, 410, 412)
CONCURRENCY = 4


class NotPurged(AnpError):
    """The page cache did not do what was asked; old pages may be kept."""

    retry_safe = True


class PageCache(Protocol):
    """Where rendered pages are kept."""

    def purge(self, paths: Sequence[str]) -> int:
        """Make sure that none of these pages is kept as it was. Doing it twice is harmless.

        Args:
            paths: each with its query, if it has one.

        Returns:
            Pages that were kept, as far as that is known.

        Raises:
            NotPurged: it did not answer, or refused; some may have been purged.
        """


def web_server(known: Settings) -> PageCache:
    """The page cache of the web server that the settings name.

    Raises:
        BadSetting: what this way needs is missing.
    """
    if known.page_cache == "files":
        return Files.of(known)
    base_url = known.page_cache_url or known.site_url
    if known.page_cache == "purge":
        return Purge(base_url)
    if known.page_cache == "refresh":
        return Refresh(base_url, header(known))
    return Nothing()


def header(known: Settings) -> dict[str, str]:
    """The header that has a page rendered anew."""
    name, _, value = known.page_cache_header.partition(":")
    return {name.strip(): value.strip()}


class Nothing:
    """There is no page cache."""

    def purge(self, paths: Sequence[str]) -> int:  # noqa: ARG002
        """Nothing is kept."""
        return 0


class Kept:
    """The demo's pages, in the object cache."""

    def __init__(self, cache: ObjectCache) -> None:
        self.cache = cache

    def purge(self, paths: Sequence[str]) -> int:
        """Remove them by name."""
        return int(self.cache.client.unlink(*(self.cache.key("page", path) for path in paths))) if paths else 0


class Purge:
    """A cache that takes PURGE requests, as Varnish and nginx' purge modules do.

    Args:
        base_url: where it answers.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def purge(self, paths: Sequence[str]) -> int:
        """Ask it to forget each."""
        manners = Manners(CONCURRENCY, method="PURGE", fine=NOT_KEPT)
        made = warm.visit(self.base_url, paths, manners)
        _check(made, paths, NOT_KEPT, f"2xx, or {' or '.join(map(str, NOT_KEPT))} for a page that is not kept")
        return sum(not visit.failed for visit in made)


class Refresh:
    """A cache that renders a page anew, and keeps that, when a header says so.

    Args:
        base_url: where it answers.
        headers: the header.
    """

    #: A post that was taken back, or a list that became shorter, has no page any more.
    GONE = (404, 410)

    def __init__(self, base_url: str, headers: dict[str, str]) -> None:
        self.base_url = base_url
        self.headers = headers

    def purge(self, paths: Sequence[str]) -> int:
        """Have each rendered."""
        manners = Manners(CONCURRENCY, headers=self.headers, timeout=30, fine=self.GONE)
        made = warm.visit(self.base_url, paths, manners)
        _check(made, paths, self.GONE, "a page, or 404 for one that is gone")
        return sum(not visit.failed for visit in made)


class Files:
    """nginx' cache as it lies on the disk.

    Args:
        folder: as in fastcgi_cache_path.
        levels: as in fastcgi_cache_path.
        key: fastcgi_cache_key with words in braces.
        site_url: for {scheme} and {host} in it.
    """

    def __init__(self, folder: Path, levels: str, key: str, site_url: str) -> None:
        self.folder = folder
        self.levels = tuple(map(int, levels.split(":")))
        self._words = {"method": "GET", "scheme": urlsplit(site_url).scheme, "host": urlsplit(site_url).netloc}
        self._key = key

    @classmethod
    def of(cls, known: Settings) -> Files:
        """The folder that the settings name.

        Raises:
            BadSetting: there is none.
        """
        folder = known.page_cache_folder
        if folder is None or not folder.is_dir():
            raise BadSetting(
                "The folder of the page cache is not there",
                expected="ANP_PAGE_CACHE_FOLDER naming the folder of fastcgi_cache_path, for ANP_PAGE_CACHE=files",
                given=str(folder or "nothing"),
            )
        return cls(folder, known.page_cache_levels, known.page_cache_key, known.site_url)

    def file(self, path: str) -> Path:
        """Where a page is kept."""
        name = hashlib.md5(self._key.format(path=path, **self._words).encode(), usedforsecurity=False).hexdigest()
        parts, end = [], len(name)
        for level in self.levels:
            parts.append(name[end - level : end])
            end -= level
        return self.folder.joinpath(*parts, name)

    def purge(self, paths: Sequence[str]) -> int:
        """Delete the files; nginx takes that as a page that it does not have."""
        removed = 0
        for path in paths:
            try:
                self.file(path).unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise NotPurged(
                    f"The kept page of {path} cannot be deleted",
                    expected="rights to delete in ANP_PAGE_CACHE_FOLDER",
                    given=str(error),
                ) from None
            removed += 1
        return removed

    def put_back(self, path: str, content: bytes, owner: tuple[int, int]) -> bool:
        """Put a deleted file back, unless there is a newer one.

        Args:
            path: of the page.
            content: of the file.
            owner: user and group, which nginx needs to read it.

        Returns:
            Whether it was put back.

        Raises:
            OSError: the folder cannot be written.
        """
        place = self.file(path)
        staged = place.with_name(f"{place.name}.anp{os.getpid()}")
        try:
            staged.write_bytes(content)
            staged.chmod(0o600)
            os.chown(staged, *owner)
            os.link(staged, place)  # unlike a rename, refused where there is one already
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):
                staged.unlink()
        return True


def _check(made: Sequence[Visit], paths: Sequence[str], fine: tuple[int, ...], expected: str) -> None:
    bad = [visit for visit in made if visit.failed and visit.status not in fine]
    if bad or len(made) < len(paths):
        given = ", ".join(f"{visit.path}: {visit.status or 'no answer'}" for visit in bad[:3])
        raise NotPurged(f"{max(len(bad), len(paths) - len(made))} pages may be kept as they were", expected, given)
