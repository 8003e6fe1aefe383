"""Flower with every page behind the login; the place where our own pages are added."""

from __future__ import annotations

from typing import Any, ClassVar

from flower.app import Flower
from flower.views.monitor import Healthcheck, Metrics
from tornado.web import authenticated


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
