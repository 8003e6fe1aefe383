"""The pages that are served: do they carry the headers that protect a reader, and say too much."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from celery_anp.checklist.point import Point

#: Headers that a page must have.
WANTED = ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy")


def site(url: str) -> Iterator[Point]:
    """The site's front page."""
    try:
        answer = httpx.get(url, timeout=5, follow_redirects=True)
    except httpx.HTTPError as error:
        yield Point("pages", f"{url} answers", type(error).__name__, "the site, or ANP_SITE_URL")
        return
    yield Point("pages", f"{url} answers", "" if answer.is_success else f"with {answer.status_code}", "the site's log")
    lacks = [name for name in WANTED if name not in answer.headers]
    yield Point(
        "pages", f"{url} has security headers", f"it lacks {', '.join(lacks)}" if lacks else "", "the web server"
    )
    server = answer.headers.get("Server", "")
    tells = server if any(sign.isdigit() for sign in server) else answer.headers.get("X-Powered-By", "")
    yield Point("pages", f"{url} does not tell versions", f"it says {tells}" if tells else "", "server_tokens off")
