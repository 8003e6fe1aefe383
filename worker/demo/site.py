"""The demo site: lists, posts, a feed and a sitemap, rendered from SQL and kept in the object cache.

Each answer says what it cost: X-Cache (HIT, MISS, or BYPASS when the cache does not answer), Server-Timing
and X-DB-Queries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import jinja2
from sqlalchemy import Connection, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from worker.demo import reading
from worker.demo.keeping import PageStore
from worker.settings import Settings
from worker.site import builds, database, pages
from worker.site.database import Queries
from worker.site.object_cache import Page
from worker.site.posts import Posts

HERE = Path(str(files("worker.demo")))
FEED_TYPE = "application/rss+xml; charset=utf-8"
FEED_POSTS = 20
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}

#: Renders a page inside a transaction; None where there is no such page.
Render = Callable[[Connection], Page | None]


class DemoSite:
    """The handlers of the demo site.

    Args:
        settings: of this process.

    Raises:
        BadSetting: the database is not there.
        Refused: the cache is the broker's Redis.
    """

    def __init__(self, settings: Settings) -> None:
        self.posts = Posts.connect(settings)
        self.store = PageStore(settings)
        self.sitemaps = builds.folder(settings)
        self.base_url = settings.site_url
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self.templates = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        self.templates.globals.update(pages=pages, base_url=self.base_url)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/", self.front),
            Route("/page/{page:int}/", self.front),
            Route("/tag/{tag}/", self.tag),
            Route("/tag/{tag}/page/{page:int}/", self.tag),
            Route("/feed/", self.feed),
            Route("/sitemap.xml", self.sitemap),
            Route("/sitemap-{part:int}.xml", self.sitemap),
            Route("/healthz", self.health),
            Route("/robots.txt", self.robots),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            Route("/{slug}/", self.post),
        ]
        return Starlette(routes=routes, exception_handlers={404: self.missing})

    def front(self, request: Request) -> Response:
        """All posts, newest first."""
        page = request.path_params.get("page", 1)
        path = pages.list_path(pages.FRONT, page)
        return self._answer(request, path, lambda connection: self._front(connection, page))

    def tag(self, request: Request) -> Response:
        """The posts with one tag."""
        tag, page = request.path_params["tag"], request.path_params.get("page", 1)
        path = pages.list_path(pages.tag_path(tag), page)
        return self._answer(request, path, lambda connection: self._tag(connection, tag, page))

    def post(self, request: Request) -> Response:
        """One post."""
        slug = request.path_params["slug"]
        return self._answer(request, pages.post_path(slug), partial(self._post, slug=slug))

    def feed(self, request: Request) -> Response:
        """The newest posts as RSS."""
        return self._answer(request, pages.FEED, self._feed)

    def sitemap(self, request: Request) -> Response:
        """The sitemap's index or one of its parts, from the live build."""
        part = request.path_params.get("part")
        # Resolved first: the link may be swapped while the file is being sent.
        path = (self.sitemaps / builds.CURRENT).resolve() / (f"sitemap-{part}.xml" if part else builds.INDEX)
        if not path.is_file():
            return self.missing(request, None)
        return FileResponse(path, media_type="application/xml", headers=SECURITY)

    def health(self, _request: Request) -> Response:
        """Whether the database answers; the cache may be away."""
        with database.reading(self.posts.engine) as connection:
            connection.execute(text("select 1"))
        return JSONResponse({"database": "up", "cache": "up" if self.store.answers() else "down"}, headers=SECURITY)

    def robots(self, _request: Request) -> Response:
        """Where the sitemap is."""
        return PlainTextResponse(f"User-agent: *\nAllow: /\nSitemap: {self.base_url}/sitemap.xml\n", headers=SECURITY)

    def missing(self, request: Request, _error: Exception | None) -> Response:
        """A page that is not there; never kept."""
        with database.measured() as queries, database.reading(self.posts.engine) as connection:
            body = self._render("missing.html", reading.site(connection), path=request.url.path)
        return Response(body, 404, {**SECURITY, "X-DB-Queries": str(queries.count)}, "text/html")

    def _answer(self, request: Request, path: str, render: Render) -> Response:
        """From the cache, or rendered and then kept; only under its one proper path."""
        started = time.perf_counter()
        if request.scope["path"] != unquote(path):
            return RedirectResponse(path, 301, SECURITY)
        looked, state = self.store.look(path)
        if looked is not None and looked.page is not None:
            return _response(looked.page, "HIT", f"cache;dur={_ms(started)}", 0)
        if looked is None:
            return self._rendered(request, path, render, None, state, started)
        with self.store.flights.flight(path) as ours:
            # Looked at once more: another's rendering may have ended between the look and the flight.
            found = self.store.look(path)[0] if ours else None
            if ours and (found is None or found.page is None):
                return self._rendered(request, path, render, looked.at, state, started)
        found = found or self.store.looked_again(path)
        if found is not None and found.page is not None:
            return _response(found.page, "HIT", f"cache;dur={_ms(started)}", 0)
        return self._rendered(request, path, render, looked.at, state, started)

    def _rendered(
        self, request: Request, path: str, render: Render, since: int | None, state: str, started: float
    ) -> Response:
        """Rendered now, and kept where there is a cache."""
        with database.measured() as queries, database.reading(self.posts.engine) as connection:
            page = render(connection)
        if page is None:
            return self.missing(request, None)
        timing = _timing(started, queries)
        if since is not None:
            self.store.keep(path, page, since)
        return _response(page, state, timing, queries.count)

    def _front(self, connection: Connection, page: int) -> Page | None:
        site = reading.site(connection)
        found = reading.front(connection, page, site.per_page)
        if found is None:
            return None
        body = self._render("list.html", site, listing=found, base=pages.FRONT, heading=None)
        return Page(body, tags=_tags(found.cards, pages.FRONT_TAG))

    def _tag(self, connection: Connection, tag: str, page: int) -> Page | None:
        site = reading.site(connection)
        found = reading.tagged(connection, tag, page, site.per_page)
        if found is None:
            return None
        base = pages.tag_path(tag)
        body = self._render("list.html", site, listing=found, base=base, heading=tag.replace("-", " "))
        return Page(body, tags=_tags(found.cards, pages.list_tag(tag)))

    def _post(self, connection: Connection, slug: str) -> Page | None:
        found = reading.article(connection, slug)
        if found is None:
            return None
        return Page(self._render("post.html", reading.site(connection), article=found), tags=_tags([found.card]))

    def _feed(self, connection: Connection) -> Page | None:
        found = reading.front(connection, 1, FEED_POSTS)
        cards = found.cards if found else ()
        return Page(
            self._render("feed.xml", reading.site(connection), cards=cards), FEED_TYPE, _tags(cards, pages.FEED_TAG)
        )

    def _render(self, template: str, site: reading.Site, **values: object) -> str:
        return self.templates.get_template(template).render(site=site, **values)


def _tags(cards: Sequence[reading.Card], *lists: str) -> tuple[str, ...]:
    return (*lists, *(pages.post_tag(card.id) for card in cards))


def _response(page: Page, state: str, timing: str, queries: int) -> Response:
    cost = {"X-Cache": state, "Server-Timing": timing, "X-DB-Queries": str(queries)}
    return Response(page.body, headers={**SECURITY, **cost}, media_type=page.type)


def _timing(started: float, queries: Queries) -> str:
    database_ms = queries.seconds * 1000
    return f"db;dur={database_ms:.2f}, render;dur={float(_ms(started)) - database_ms:.2f}"


def _ms(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.2f}"
