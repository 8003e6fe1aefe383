"""Other packages that promise part of the same, where they are installed (`pip install anp[bench]`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.bench.plain import app
from worker.settings import settings


def tasks() -> dict[str, Any]:
    """A no-op task of each peer that is there, by the peer's name; both lock on the input when it is enqueued."""
    found = {}
    for name, make in (("celery-once", _once), ("celery-singleton", _singleton)):
        with suppress(ImportError):
            found[name] = make()
    return found


def missing() -> list[str]:
    """The peers that are not installed."""
    return sorted({"celery-once", "celery-singleton"} - tasks().keys())


def _nothing(x: int) -> int:
    return x


def _once() -> Any:
    from celery_once import QueueOnce

    url = settings().redis_url
    app.conf.ONCE = {"backend": "celery_once.backends.Redis", "settings": {"url": url, "default_timeout": 3600}}
    return _task("once.noop", QueueOnce)


def _singleton() -> Any:
    from celery_singleton import Singleton

    return _task("singleton.noop", Singleton)


def _task(name: str, base: type) -> Any:
    return app.task(name=name, base=base)(_nothing)


def redbeat() -> Callable[..., Any] | None:
    """RedBeat's scheduler, or None."""
    with suppress(ImportError):
        from redbeat import RedBeatScheduler

        return RedBeatScheduler
    print("RedBeat is not installed: left out", file=sys.stderr)
    return None
