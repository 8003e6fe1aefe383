"""`anp health`: for container health checks; by work done, not by a process being there."""

from __future__ import annotations

import socket
from typing import Annotated, Literal

import httpx
import typer

from celery_anp.cli import printing
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Node
from celery_anp.settings import settings

Part = Literal["redis", "worker", "beat", "flower", "site", "metrics"]
#: Where `anp flower` listens unless it is told otherwise.
FLOWER_PORT = 5555
#: And `anp metrics`.
METRICS_PORT = 9808
#: Seconds for which beat's rounds may stand still, or a tick may stay undecided.
STANDS = 30.0


def health(part: Annotated[Part, typer.Argument(help="What to look at.")], json: AsJson = False) -> None:
    """Tell whether one part works: Redis takes a write, a worker here lives, beat decides ticks, the pages answer.

    Exit code 0 if it does, else 1. Example: `anp health worker`
    """
    served = {"flower": _flower, "site": _site, "metrics": _metrics}
    said = served[part]() if part in served else _in_ledger(part)
    if json:
        printing.as_json({"part": part, "healthy": not said, "reason": said or None})
    else:
        printing.say(f"{part} is {'healthy' if not said else f'not healthy: {said}'}")
    if said:
        raise typer.Exit(1)


def _in_ledger(part: Part) -> str:
    with ledger(to_read=False) as found:
        return _redis(found) if part == "redis" else _node(found, part)


def _flower() -> str:
    """Its pages are behind the password, this one too."""
    known = settings()
    login = (known.flower_user, known.flower_password.get_secret_value())
    return _page("Flower on this host", f"http://127.0.0.1:{FLOWER_PORT}/healthcheck", login)[0]


def _site() -> str:
    """Its front page, which needs the database unless it is kept."""
    return _page("the site", settings().site_url)[0]


def _metrics() -> str:
    """They are served without a ledger too, and then say so."""
    said, text = _page("the metrics of this host", f"http://127.0.0.1:{METRICS_PORT}/metrics")
    return said or ("" if "anp_ledger_up 1" in text else "the ledger cannot be read")


def _page(what: str, url: str, login: tuple[str, str] | None = None) -> tuple[str, str]:
    """What is wrong with a page, and its text."""
    try:
        answer = httpx.get(url, auth=login, timeout=5, trust_env=False, follow_redirects=True)
    except httpx.HTTPError as error:
        return f"{what} does not answer ({type(error).__name__})", ""
    return ("" if answer.status_code == 200 else f"{what} answers {answer.status_code}"), answer.text


def _redis(found: Ledger) -> str:
    """A write tells more than a ping: a full disk, a replica or a full memory all answer pings."""
    found.store.read("set", found.store.key("health"), "1", 60)
    return ""


def _node(found: Ledger, kind: str) -> str:
    host = socket.gethostname()
    here = [node for node in found.nodes() if node.kind == kind and node.host == host]
    if not here:
        return f"no {kind} on {host} has a living lease"
    said = [_trouble(node, found.now()) for node in here] if kind == "beat" else []
    return next(iter(said), "") if all(said) else ""


def _trouble(beat: Node, now: int) -> str:
    """Why a beat does not do its work: a lease is renewed by a thread of its own, whatever its rounds do.

    One that goes on with its last good schedules is healthy: restarted, it would not start at all. `anp status` tells.
    """
    if idle := beat.news.get("idle"):
        return idle
    stood = (now - int(beat.news.get("round") or now)) / 1000
    if stood > STANDS:
        return f"its rounds stand still since {stood:.0f} s"
    late = (now - int(beat.news.get("next") or now)) / 1000
    return f"a tick has been due for {late:.0f} s and is not decided" if late > STANDS else ""
