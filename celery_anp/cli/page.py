"""One look at a page, with what Python brings: an HTTP library of its own costs more than a health check may."""

from __future__ import annotations

import http.client
from base64 import b64encode
from urllib.parse import SplitResult, urljoin, urlsplit

#: Seconds for connecting and for each part of an answer.
TIMEOUT = 5.0
#: Times that a page may send us elsewhere.
REDIRECTS = 20
#: Bytes of a page that are read.
MOST = 16 * 1024 * 1024
MOVED = frozenset({301, 302, 303, 307, 308})


def look(url: str, login: tuple[str, str] | None = None) -> tuple[int, str]:
    """Ask for a page, and follow it where it has moved to; never to another kind of address, and no proxy is asked.

    Args:
        url: `http://` or `https://`.
        login: user and password, said to the server that was asked and to none that it sends us to.

    Returns:
        The status and the text of the page.

    Raises:
        OSError, http.client.HTTPException: there is no answer.
    """
    asked = first = urlsplit(url)
    for _ in range(REDIRECTS):
        own = (asked.scheme, asked.netloc) == (first.scheme, first.netloc)
        status, moved, text = _asked(asked, login if own else None)
        if status not in MOVED or not moved:
            return status, text
        asked = urlsplit(urljoin(asked.geturl(), moved))
    raise http.client.HTTPException(f"it sends us elsewhere more than {REDIRECTS} times")


def _asked(asked: SplitResult, login: tuple[str, str] | None) -> tuple[int, str, str]:
    connection = _connection(asked)
    try:
        connection.request(
            "GET", asked._replace(scheme="", netloc="", fragment="").geturl() or "/", headers=_said(login)
        )
        answer = connection.getresponse()
        text = answer.read(MOST).decode("utf-8", "replace")
        return answer.status, answer.headers.get("Location", ""), text
    finally:
        connection.close()


def _connection(asked: SplitResult) -> http.client.HTTPConnection:
    if not asked.hostname or asked.scheme not in {"http", "https"}:
        raise http.client.InvalidURL(f"{asked.scheme}: is no page")
    kind = http.client.HTTPSConnection if asked.scheme == "https" else http.client.HTTPConnection
    return kind(asked.hostname, asked.port, timeout=TIMEOUT)


def _said(login: tuple[str, str] | None) -> dict[str, str]:
    told = {"User-Agent": "anp", "Accept": "*/*"}
    if login is not None:
        told["Authorization"] = "Basic " + b64encode(":".join(login).encode()).decode()
    return told
