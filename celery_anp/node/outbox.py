"""Sends what waits in the outbox: alerts to ANP_ALERT_URL, pings to a schedule's `ping_url`.

In each worker and beat, in two threads of its own: a receiver that hangs holds up no upkeep, and one of pings no alert.
An item is claimed by one node at a time and is sent at least once; its id tells a receiver that it comes again.
Limit: what Redis forgets, or what no receiver takes for about ten minutes, is not told; the ledger still shows it.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - as httpcore
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpcore  # noqa: F401 - httpx imports it at its first request: see `tls`
import httpx
from celery.utils.log import get_logger

from celery_anp.errors import AnpError
from celery_anp.redaction import cleared
from celery_anp.reliability.ledger import LANES
from celery_anp.reliability.message import secret_values
from celery_anp.reliability.run import iso, moment
from celery_anp.settings import settings

log = get_logger(__name__)

#: Seconds that one request may take.
TIMEOUT = 10.0
#: Items claimed at once, and seconds that a claim holds: more than all of them may take.
MOST, CLAIM = 5, 90.0
#: Seconds until the next try, doubled each time, and its longest.
FIRST, LONGEST = 5.0, 300.0
#: Tries of an alert (over about ten minutes), and of a ping.
TRIES = {"alert": 8, "ping": 3}
#: Characters of a ping's body.
BODY = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to tell."""

    id: str
    what: str
    kind: str
    text: str
    #: Time it became true, ms.
    at: int
    attempts: int
    run: str = ""
    task: str = ""
    schedule: str = ""
    url: str = ""
    #: For `late`: when it should have succeeded, ms.
    by: int = 0

    def document(self) -> dict[str, Any]:
        """An alert as its receiver gets it."""
        known = settings()
        return {
            "id": self.id, "kind": self.kind, "schedule": self.schedule or None, "run_id": self.run or None,
            "task": self.task or None, "text": self.text, "at": iso(moment(self.at)),
            "expected_by": iso(moment(self.by)), "env": known.env, "release": known.release or None,
            "host": socket.gethostname(),
        }  # fmt: skip


class Outbox:
    """A thread for alerts and one for pings, which send until `stop`.

    Args:
        app: the guarded app.
    """

    def __init__(self, app: Any) -> None:
        self.ledger = app.ledger.separate()
        tls()
        self._stop = threading.Event()
        self._due = {lane: threading.Event() for lane in LANES}
        self._threads = [
            threading.Thread(target=self._loop, args=(lane,), name=f"anp-outbox-{lane}", daemon=True) for lane in LANES
        ]

    def start(self) -> None:
        """Begin in the background."""
        for name in ("httpx", "httpcore"):  # they log each address, which may hold a secret
            logging.getLogger(name).setLevel(logging.WARNING)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing more; what is under way may still arrive, and is sent again by another node."""
        self._stop.set()
        self.wake(LANES)

    def wake(self, lanes: Iterable[str]) -> None:
        """There is something to send in these lanes."""
        for lane in lanes:
            self._due[lane].set()

    def _loop(self, lane: str) -> None:
        with new_client() as client:
            while self._due[lane].wait() and not self._stop.is_set():
                self._due[lane].clear()
                try:
                    self.go_round(client, lane)
                except AnpError as error:
                    log.warning("the outbox waits for the ledger: %s", error)
                except Exception:
                    log.exception("the outbox met something unexpected and goes on")

    def go_round(self, client: httpx.Client, lane: str) -> None:
        """Send what is due in a lane.

        Args:
            client: makes the requests.
            lane: alerts or pings.

        Raises:
            LedgerUnavailable: Redis did not answer; what was sent may be sent again.
        """
        for item in self._claim(lane):
            if self._stop.is_set():
                return
            trouble = deliver(client, item)
            if not trouble:
                self.ledger.store.call("outbox", "sent", lane, item.id)
            elif item.attempts >= TRIES[lane]:
                log.error(
                    "given up after %d tries: %s %s of %s: %s", item.attempts, item.what, item.kind, *_of(item, trouble)
                )
                self.ledger.store.call("outbox", "drop", lane, item.id)
            else:
                log.warning(
                    "%s %s of %s was not taken, it is tried again: %s", item.what, item.kind, *_of(item, trouble)
                )
                pause = min(FIRST * 2 ** (item.attempts - 1), LONGEST)
                self.ledger.store.call("outbox", "again", lane, item.id, int(pause * 1000))

    def _claim(self, lane: str) -> list[Item]:
        found = self.ledger.store.call("outbox", "claim", lane, MOST, int(CLAIM * 1000))
        return [self._cleared(_item(name, text)) for name, text in zip(found[::2], found[1::2], strict=True)]

    def _cleared(self, item: Item) -> Item:
        row = self.ledger.row_key(item.run)
        message = self.ledger.store.read("hget", row, "message") if item.run and item.text else None
        return replace(item, text=cleared(item.text, secret_values(message or "")))


@cache
def tls() -> ssl.SSLContext:
    """What a client trusts; made once, in the main thread, before a worker's pool forks.

    A child that is forked while a thread imports a module waits for ever when it imports it too. So nothing is imported
    in the outbox's threads, neither for the first client nor for the first request.
    """
    return httpx.create_ssl_context()


def new_client() -> httpx.Client:
    """A client that follows no redirect: an address is told what is told it, and nobody else."""
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False, headers={"User-Agent": "anp"}, verify=tls())


def deliver(client: httpx.Client, item: Item) -> str:
    """Tell one thing.

    Args:
        client: makes the request.
        item: what to tell.

    Returns:
        Why it was not taken, without the address, which may hold a secret; empty when it was.
    """
    if item.what == "alert":
        if item.attempts == 1 or not settings().alert_url:
            log.error("alert %s: %s", item.kind, item.text)
        if not settings().alert_url:
            return ""
    try:
        request = _alert(client, item) if item.what == "alert" else _ping(client, item)
        answer = client.send(request, stream=True)  # what it says is not read: it may have no end
        answer.close()
    except Exception as error:  # whatever one receiver or address does, the others are told
        return type(error).__name__
    return "" if answer.is_success else f"it answered {answer.status_code}"


def _alert(client: httpx.Client, item: Item) -> httpx.Request:
    headers = {"Idempotency-Key": item.id}
    return client.build_request("POST", settings().alert_url, json=item.document(), headers=headers)


def _ping(client: httpx.Client, item: Item) -> httpx.Request:
    """The convention of healthchecks.io: `/start`, nothing, `/fail`; `rid` ties the start of a run to its end."""
    end = {"start": "/start", "success": "", "fail": "/fail"}[item.kind]
    address = httpx.URL(item.url)
    address = address.copy_with(path=address.path.rstrip("/") + end)
    rid = str(uuid5(NAMESPACE_URL, item.run))
    return client.build_request("POST", address.copy_merge_params({"rid": rid}), content=item.text[:BODY].encode())


def _item(name: str, text: str) -> Item:
    """An item as the scripts wrote it; a later release may have written more than we know."""
    raw = {**json.loads(text), "id": name}
    held = {one.name: raw[one.name] for one in fields(Item) if one.name in raw}
    return Item(**{**held, "at": int(held["at"]), "by": int(held.get("by") or 0)})


def _of(item: Item, trouble: str) -> tuple[str, str]:
    return item.run or item.schedule or item.text, trouble
