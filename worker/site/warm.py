"""Asking for pages so that the next reader finds them in the cache, and measuring the answers.

Limit: it warms what the site is willing to keep; a page that is kept already costs one cached answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from worker.site.flight import PAUSE, Flights

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
    #: Another was asking for it at the same time: this one waited for that, then asked.
    shared: bool = False
    body: bytes = field(default=b"", repr=False)

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


@dataclass(frozen=True, slots=True)
class Manners:
    """How to ask: politely."""

    #: Requests at the same time, at most.
    concurrency: int = 4
    #: Requests a second, at most; None for no limit.
    rate: float | None = None
    #: Seconds for one request.
    timeout: float = 10.0
    #: Stop when a larger part than this has failed (after `FEW` answers).
    error_limit: float = 0.5
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Statuses of 400 and more that are no failure.
    fine: tuple[int, ...] = ()
    #: Whether to keep the bodies.
    bodies: bool = False


def visit(
    base_url: str,
    paths: Sequence[str],
    manners: Manners = Manners(),
    *,
    flights: Flights | None = None,
    each: Callable[[int, int], bool] | None = None,
) -> list[Visit]:
    """Ask for each path once.

    Args:
        base_url: of the site.
        paths: to ask for, in this order.
        manners: how.
        flights: keeps two warmers from having one page rendered at once; None asks regardless.
        each: called with (visits done, visits in all) after each; its True ends the round.

    Returns:
        The visits that were made.
    """
    return asyncio.run(_Round(base_url, manners, flights).all(paths, each))


class _Round:
    def __init__(self, base_url: str, manners: Manners, flights: Flights | None) -> None:
        self.base_url = base_url
        self.manners = manners
        self.flights = flights
        self.gate = asyncio.Semaphore(manners.concurrency)
        self._next_at = 0.0

    async def all(self, paths: Sequence[str], each: Callable[[int, int], bool] | None) -> list[Visit]:
        limits = httpx.Limits(max_connections=self.manners.concurrency)
        headers = {"User-Agent": AGENT, **self.manners.headers}
        made: list[Visit] = []
        async with httpx.AsyncClient(
            base_url=self.base_url, timeout=self.manners.timeout, limits=limits, headers=headers, trust_env=False
        ) as client:
            waiting = [asyncio.create_task(self._one(client, path)) for path in paths]
            try:
                for answer in asyncio.as_completed(waiting):
                    made.append(await answer)
                    over = each is not None and each(len(made), len(paths))
                    if over or too_bad(made, self.manners):
                        break
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        return made

    async def _one(self, client: httpx.AsyncClient, path: str) -> Visit:
        async with self.gate:
            await self._turn()
            if self.flights is None:
                return await self._ask(client, path)
            with self.flights.flight(path) as ours:
                if ours:
                    return await self._ask(client, path)
            deadline = time.monotonic() + self.manners.timeout
            while self.flights.flying(path) and time.monotonic() < deadline:
                await asyncio.sleep(PAUSE)
            return await self._ask(client, path, shared=True)

    async def _turn(self) -> None:
        """Wait until the rate allows one more request."""
        if self.manners.rate is None:
            return
        now = time.monotonic()
        at = max(now, self._next_at)
        self._next_at = at + 1 / self.manners.rate
        await asyncio.sleep(at - now)

    async def _ask(self, client: httpx.AsyncClient, path: str, *, shared: bool = False) -> Visit:
        # Who waited for another does not have the page rendered anew once more.
        skipped = [name.lower() for name in self.manners.headers] if shared else []
        request = client.build_request(self.manners.method, path)
        for name in skipped:
            request.headers.pop(name, None)
        started = time.perf_counter()
        try:
            answer = await client.send(request)
        except httpx.HTTPError:
            return Visit(path, 0, time.perf_counter() - started, shared=shared)
        queries = answer.headers.get("X-DB-Queries", "0")
        return Visit(
            path,
            answer.status_code,
            time.perf_counter() - started,
            answer.headers.get("X-Cache", answer.headers.get("X-Cache-Status", "")),
            int(queries) if queries.isdigit() else 0,
            shared,
            answer.content if self.manners.bodies else b"",
        )


def too_bad(made: Sequence[Visit], manners: Manners) -> bool:
    """Whether so much failed that going on would only do harm."""
    failed = sum(visit.failed and visit.status not in manners.fine for visit in made)
    return len(made) >= FEW and failed > manners.error_limit * len(made)


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
