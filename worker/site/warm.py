"""Asking for pages so that the next reader finds them in the cache, and measuring the answers.

Limit: it warms what the site is willing to keep; a page that is kept already costs one cached answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

AGENT = "anp-warm"
#: Errors are counted against the limit only after this many answers.
FEW = 10


@dataclass(frozen=True, slots=True)
class Visit:
    """One answer."""

    path: str
    #: HTTP status, or 0 when there was no answer.
    status: int
    #: Seconds until the whole body was there.
    seconds: float
    #: The X-Cache header: HIT, MISS, BYPASS, or empty.
    cache: str = ""
    #: Statements the site sent to its database for it.
    queries: int = 0

    @property
    def failed(self) -> bool:
        """No answer, or one that is not a page."""
        return not 200 <= self.status < 400


@dataclass(frozen=True, slots=True)
class Figures:
    """What a round of visits showed."""

    pages: int
    p50_ms: float
    p95_ms: float
    #: Part of the visits that failed, 0 to 1.
    error_rate: float
    hits: int
    misses: int
    database_calls: int
    #: True when the round ended early because too much failed.
    stopped: bool
    #: Some paths that failed, with their status (0: no answer).
    errors: tuple[tuple[str, int], ...]


def visit(
    base_url: str,
    paths: Sequence[str],
    *,
    concurrency: int = 4,
    timeout: float = 10.0,
    error_limit: float = 0.5,
    each: Callable[[int, int], bool] | None = None,
) -> Figures:
    """Ask for each path once.

    Args:
        base_url: of the site.
        paths: to ask for, in this order.
        concurrency: requests at the same time, at most.
        timeout: seconds for one request.
        error_limit: stop when a larger part than this has failed (after `FEW` answers).
        each: called with (visits done, visits in all) after each; its True ends the round.

    Returns:
        The figures of the visits that were made.
    """
    return asyncio.run(_round(base_url, paths, concurrency, timeout, error_limit, each))


async def _round(
    base_url: str,
    paths: Sequence[str],
    concurrency: int,
    timeout: float,
    error_limit: float,
    each: Callable[[int, int], bool] | None,
) -> Figures:
    gate = asyncio.Semaphore(concurrency)
    limits = httpx.Limits(max_connections=concurrency)
    made: list[Visit] = []
    headers = {"User-Agent": AGENT}
    async with httpx.AsyncClient(
        base_url=base_url, timeout=timeout, limits=limits, headers=headers, trust_env=False
    ) as client:
        waiting = [asyncio.create_task(_ask(client, gate, path)) for path in paths]
        try:
            for answer in asyncio.as_completed(waiting):
                made.append(await answer)
                if _too_bad(made, error_limit) or (each is not None and each(len(made), len(paths))):
                    break
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    return figures(made, stopped=_too_bad(made, error_limit))


async def _ask(client: httpx.AsyncClient, gate: asyncio.Semaphore, path: str) -> Visit:
    async with gate:
        started = time.perf_counter()
        try:
            answer = await client.get(path)
        except httpx.HTTPError:
            return Visit(path, 0, time.perf_counter() - started)
        queries = answer.headers.get("X-DB-Queries", "0")
        return Visit(
            path,
            answer.status_code,
            time.perf_counter() - started,
            answer.headers.get("X-Cache", answer.headers.get("X-Cache-Status", "")),
            int(queries) if queries.isdigit() else 0,
        )


def _too_bad(made: Sequence[Visit], error_limit: float) -> bool:
    return len(made) >= FEW and sum(visit.failed for visit in made) > error_limit * len(made)


def figures(made: Sequence[Visit], *, stopped: bool = False) -> Figures:
    """The figures of a round; times are of the answers that came, and 0 when none did."""
    times = sorted(visit.seconds * 1000 for visit in made if not visit.failed)
    failed = [visit for visit in made if visit.failed]
    return Figures(
        pages=len(made),
        p50_ms=_quantile(times, 0.50),
        p95_ms=_quantile(times, 0.95),
        error_rate=round(len(failed) / len(made), 4) if made else 0.0,
        hits=sum(visit.cache == "HIT" for visit in made),
        misses=sum(visit.cache in ("MISS", "BYPASS") for visit in made),
        database_calls=sum(visit.queries for visit in made),
        stopped=stopped,
        errors=tuple((visit.path, visit.status) for visit in failed[:5]),
    )


def _quantile(ordered: Sequence[float], part: float) -> float:
    """Nearest rank."""
    if not ordered:
        return 0.0
    rank = max(1, -(-int(part * 100) * len(ordered) // 100))
    return round(ordered[rank - 1], 2)
