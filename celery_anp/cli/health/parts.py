"""`anp health`: for container health checks; by work done, not by a process being there.

It runs every few seconds beside every process: so it takes the shortest way there, without typer, rich or redis-py.
"""

from __future__ import annotations

import json
import socket
import sys

from celery_anp.cli.reach import keyspace
from celery_anp.reliability import nodes
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.nodes import Node
from celery_anp.settings import settings

#: Where `anp flower` listens unless it is told otherwise.
FLOWER_PORT = 5555
#: And `anp metrics`.
METRICS_PORT = 9808
#: Seconds for which beat's rounds may stand still, or a tick may stay undecided.
STANDS = 30.0


def check(part: str, *, as_json: bool) -> bool:
    """Look at one part, and say how it is.

    Args:
        part: one of `PARTS`.
        as_json: as one JSON document.

    Returns:
        Whether it works.
    """
    said = SERVED[part]() if part in SERVED else _in_ledger(part)
    if as_json:
        document = {"part": part, "healthy": not said, "reason": said or None}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{part} is {'healthy' if not said else f'not healthy: {said}'}\n")
    return not said


def _in_ledger(part: str) -> str:
    with keyspace(to_read=False) as found:
        return _redis(found) if part == "redis" else _node(found, part)


def _flower() -> str:
    """Its pages are behind the password, this one too."""
    known = settings()
    login = (known.flower_user, known.flower_password.get_secret_value())
    return _page("Flower on this host", f"http://127.0.0.1:{FLOWER_PORT}/healthcheck", login)[0]


def _site() -> str:
    """Its front page, which needs the database unless it is kept."""
    url = settings().site_url
    return _page("the site", url)[0] if url else "ANP_SITE_URL names no site"


def _metrics() -> str:
    """They are served without a ledger too, and then say so."""
    said, text = _page("the metrics of this host", f"http://127.0.0.1:{METRICS_PORT}/metrics")
    return said or ("" if "anp_ledger_up 1" in text else "the ledger cannot be read")


def _page(what: str, url: str, login: tuple[str, str] | None = None) -> tuple[str, str]:
    """What is wrong with a page, and its text."""
    from http.client import HTTPException  # who looks into the ledger needs none of it

    from celery_anp.cli import page

    try:
        status, text = page.look(url, login)
    except (OSError, HTTPException) as error:
        return f"{what} does not answer ({type(error).__name__})", ""
    return ("" if status == 200 else f"{what} answers {status}"), text


def _redis(found: Keyspace) -> str:
    """A write tells more than a ping: a full disk, a replica or a full memory all answer pings."""
    found.read("set", found.key("health"), "1", 60)
    return ""


def _node(found: Keyspace, kind: str) -> str:
    host = socket.gethostname()
    here = [node for node in nodes.living(found) if node.kind == kind and node.host == host]
    if not here:
        return f"no {kind} on {host} has a living lease"
    said = [_trouble(node, nodes.now(found)) for node in here] if kind == "beat" else []
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


#: What is looked at without the ledger.
SERVED = {"flower": _flower, "site": _site, "metrics": _metrics}
PARTS = ("redis", "worker", "beat", *SERVED)
