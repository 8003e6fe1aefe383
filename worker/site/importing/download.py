"""One https download into a file: bounded in bytes, seconds and redirects, and only from public addresses."""

from __future__ import annotations

import ssl
import time
from typing import IO
from urllib.parse import urljoin, urlsplit

import httpcore

from celery_anp.errors import BadSource, LimitExceeded
from celery_anp.security import IMPORT_CONNECT_SECONDS, IMPORT_DOWNLOAD_SECONDS, IMPORT_REDIRECTS
from worker.site.importing.addresses import Judge, Judged, is_public

REDIRECTS = (301, 302, 303, 307, 308)
#: Answers that another try may change.
PASSING = (408, 425, 429, 500, 502, 503, 504)
HEADERS: dict[bytes | str, bytes | str] = {"Accept-Encoding": "identity", "User-Agent": "anp"}


def fetch(
    url: str, into: IO[bytes], limit: int, *, judge: Judge = is_public, trusted: ssl.SSLContext | None = None
) -> None:
    """Download an address into a file.

    Args:
        url: https, without a login.
        into: an empty file.
        limit: bytes at most.
        judge: whether a resolved address may be connected to.
        trusted: certificates to trust in place of the usual ones.

    Raises:
        BadSource: the address may not be asked, does not answer, or answers with something else.
        LimitExceeded: it sends more than `limit` bytes, or takes too long.
    """
    until = time.monotonic() + IMPORT_DOWNLOAD_SECONDS
    context = trusted or ssl.create_default_context()
    with httpcore.ConnectionPool(ssl_context=context, network_backend=Judged(judge)) as pool:
        for _ in range(IMPORT_REDIRECTS + 1):
            elsewhere = _ask(pool, url, into, limit, until)
            if elsewhere is None:
                return
            url = urljoin(url, elsewhere)
    raise BadSource("The source redirects too often", expected=f"at most {IMPORT_REDIRECTS} times", given=url)


def check(url: str) -> None:
    """Refuse an address that is not https or tells a login.

    Raises:
        BadSource: it is.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise BadSource("The source may not be asked", expected="an address with https://", given=_told(url))
    if parts.username or parts.password:
        raise BadSource("The source's address tells a login", expected="an address without one", given=_told(url))


def _ask(pool: httpcore.ConnectionPool, url: str, into: IO[bytes], limit: int, until: float) -> str | None:
    """Ask once: where to go instead, or None when the file is there."""
    check(url)
    waits = {"connect": IMPORT_CONNECT_SECONDS, "read": 30.0, "write": 30.0, "pool": 5.0}
    try:
        with pool.stream("GET", url, headers=HEADERS, extensions={"timeout": waits}) as answer:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            if answer.status in REDIRECTS and "location" in headers:
                return headers["location"]
            _check_answer(url, answer.status, headers, limit)
            _take(answer, into, limit, until)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError) as error:
        raise BadSource(
            "The source does not answer", given=f"{_told(url)}: {type(error).__name__} {error}", retry_safe=True
        ) from None
    return None


def _check_answer(url: str, status: int, headers: dict[str, str], limit: int) -> None:
    if status != 200:
        raise BadSource(
            "The source has no file for us", expected="200", given=f"{status} from {_told(url)}",
            retry_safe=status in PASSING,
        )  # fmt: skip
    if headers.get("content-encoding", "identity") != "identity":
        raise BadSource(
            "The source is packed though it was not asked to be",
            expected="no encoding",
            given=headers["content-encoding"],
        )
    if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > limit:
        raise too_large(int(headers["content-length"]), limit)


def _take(answer: httpcore.Response, into: IO[bytes], limit: int, until: float) -> None:
    size = 0
    for part in answer.iter_stream():
        size += len(part)
        if size > limit:
            raise too_large(size, limit)
        if time.monotonic() > until:
            raise LimitExceeded(
                "The download takes too long",
                expected=f"at most {IMPORT_DOWNLOAD_SECONDS:g} s",
                given=f"{size} bytes so far",
            )
        into.write(part)


def too_large(size: int, limit: int) -> LimitExceeded:
    """The source has more bytes than a source may have."""
    return LimitExceeded(
        "The source is too large", expected=f"at most {limit} bytes (IMPORT_FILE_LIMIT)", given=f"{size} bytes or more"
    )


def _told(url: str) -> str:
    """An address without its login and its query, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
