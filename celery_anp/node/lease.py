"""This node: one worker process tree (or one beat) with one lease, renewed by a thread of the main process.

The lease is not renewed in a child, where a C call that holds the GIL would starve it, nor in the consumer's event
loop. A local clock may only make this node stop earlier; that it is dead is decided in Redis.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from celery.utils.log import get_logger

from celery_anp.clock import boottime
from celery_anp.errors import LedgerUnavailable
from celery_anp.execution import children, identity
from celery_anp.node.deaths import Deaths
from celery_anp.node.reconcile import Body, Reconciler
from celery_anp.process.place import System

log = get_logger(__name__)

#: A node renews this often in a lease, and fences itself at two thirds of it.
RENEWALS = 5
FENCE_AT = 2 / 3
#: The fuse looks at the clock this often in a lease.
LOOKS = 30


class Lease:
    """Registers this node and keeps its lease until `stop`.

    Two threads: one renews, and may be held up by Redis; the other, the fuse, only looks at the clock, and kills the
    bodies of a node that has not renewed for two thirds of its lease.

    Args:
        app: the guarded app.
        kind: `worker` or `beat`.
        bodies: what the children are doing now.
        queues: names of the queues that it serves now.
    """

    def __init__(
        self,
        app: Any,
        kind: str,
        bodies: Callable[[], Iterable[Body]] = tuple,
        queues: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.app = app
        self.kind = kind
        self.bodies = bodies
        self.queues = queues
        self._served = "[]"
        self.seconds = app.ledger.lease / 1000
        self.ledger = app.ledger.separate(max(0.5, self.seconds / RENEWALS))
        self.reconciler = Reconciler(app, self.ledger, bodies, self.wake)
        #: What this node says of its work, sent with each renewal.
        self.news: dict[str, str] = {}
        self._renewed = boottime()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="anp-lease", daemon=True)
        self._fuse = threading.Thread(target=self._watch, name="anp-fuse", daemon=True)

    def start(self) -> None:
        """Register, take back what died on this host, then renew in the background.

        Raises:
            LedgerUnavailable: Redis does not answer.
        """
        identity.begin_tree()
        self._register()
        Deaths(self.ledger).look()
        self._thread.start()
        self._fuse.start()

    def stop(self, reason: str = "its worker was shut down") -> None:
        """Leave in order: unfinished rows go back without a loss."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(timeout=self.seconds)
        try:
            self.ledger.goodbye(identity.current(), reason)
        except LedgerUnavailable as error:
            log.warning("this node could not say goodbye, its lease will end: %s", error)

    def wake(self) -> None:
        """There is something to tell the ledger: do not wait for the next renewal."""
        self._wake.set()

    def _register(self) -> None:
        node = str(uuid4())
        before = boottime()
        names = sorted(name for name in self.app.tasks if not name.startswith("celery."))
        system = System()
        self.ledger.heartbeat(node, {
            "kind": self.kind, "host": system.host, "pid": str(os.getpid()), "place": str(system.here() or ""),
            "app": self.app.identity, "tasks": json.dumps(names), "release": self.app.release,
            "started": str(int(time.time() * 1000)), "lease": str(self.ledger.lease),
        }, news=self._news())  # fmt: skip
        identity.become(node)
        self._renewed = before
        log.info("this %s is node %s with a lease of %g s", self.kind, node, self.seconds)

    def _news(self) -> dict[str, str]:
        with suppress(RuntimeError):  # they are changing just now: what it said last will do until the next renewal
            self._served = json.dumps(sorted(self.queues()))
        return {**self.news, "queues": self._served}

    def _loop(self) -> None:
        while True:
            self._wake.wait(self.seconds / RENEWALS)
            self._wake.clear()
            if self._stopped.is_set():
                return
            try:
                self._renew()
            except LedgerUnavailable as error:
                log.warning("the lease was not renewed: %s", error)
            except Exception:
                log.exception("the lease thread met something unexpected and goes on")

    def _renew(self) -> None:
        before = boottime()
        rows = self.ledger.heartbeat(identity.current(), news=self._news())
        if rows is None:
            self._return_as_new()
            return
        self._renewed = before
        self.reconciler.go_over(rows, identity.current())

    def _return_as_new(self) -> None:
        self._kill_bodies("its lease had ended")
        self.ledger.goodbye(identity.current(), "its node fenced itself")
        self.reconciler.forget()
        self._register()

    def _watch(self) -> None:
        while not self._stopped.wait(self.seconds / LOOKS):
            if boottime() - self._renewed > self.seconds * FENCE_AT:
                self._kill_bodies("its lease could not be renewed")

    def _kill_bodies(self, reason: str) -> None:
        for body in self.bodies():
            if body.killable and self.reconciler.fenced(body.pid):
                log.error("killing child %s, which runs %s: %s", body.pid, body.run_id, reason)
                children.kill(body.pid)
