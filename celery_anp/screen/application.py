"""Flower with every page behind the login; the place where our own pages are added."""

from __future__ import annotations

from typing import Any, ClassVar

from flower.app import Flower
from flower.views.monitor import Healthcheck, Metrics
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, authenticated

from celery_anp.security import PAGE_HEADERS


class GuardedMetrics(Metrics):
    """`/metrics`, which Flower itself gives to everybody."""

    @authenticated
    async def get(self) -> None:
        await super().get()


class GuardedHealthcheck(Healthcheck):
    """`/healthcheck`, which Flower itself gives to everybody."""

    @authenticated
    async def get(self) -> None:
        await super().get()


class Headers(OutputTransform):
    """Gives each answer, also a refusal, the headers that protect its reader."""

    def __init__(self, request: HTTPServerRequest) -> None:
        """Tornado makes one for each request."""

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002 - tornado's signature
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name, value in PAGE_HEADERS.items():
            headers[name] = value
        del headers["Server"]
        return status_code, headers, chunk


class Screen(Flower):
    """The application. Takes what `flower.app.Flower` takes."""

    #: Win over Flower's own pages of the same path.
    pages: ClassVar[list[tuple[str, type]]] = [
        (r"/metrics", GuardedMetrics),
        (r"/healthcheck", GuardedHealthcheck),
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_handlers(r".*", self.pages)
        self.add_transform(Headers)
