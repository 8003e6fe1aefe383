"""What a node's rows say against what its children do, compared at each heartbeat.

A death that the main process hears of is told at once; what it does not hear of, the next heartbeats find: a row whose
child is dead or idle, and a body whose row is gone. A child is idle when neither the main process nor the child itself
knows of the body: the event loop stands still in the grace of a shutdown, and forgets bodies that began just before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.utils.log import get_logger
from kombu.utils import json

from celery_anp.errors import LostOwnership
from celery_anp.execution import children
from celery_anp.node import failures, revoke
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.records import Loss, Outcome
from celery_anp.reliability.retry import Again, Retries, decide
from celery_anp.reliability.rollback import ROLLBACK_RETRIES

log = get_logger(__name__)

Rows = dict[str, tuple[int, str]]
What = Literal["child", "limit", "unknown", "other", "revoked"]
#: What a hard time limit settles as: of a rollback or of the body, to be tried again or not.
OUTCOMES: dict[tuple[bool, bool], Outcome] = {
    (False, True): "retry", (False, False): "failed", (True, True): "rollback_retry", (True, False): "rollback_failed",
}  # fmt: skip

#: States of a run that is not tried again.
ENDED = frozenset({"failed", "quarantined", "rolling_back"})


@dataclass(frozen=True, slots=True)
class Body:
    """A request that a child has accepted: its run, its child's pid, and whether its lease guards it."""

    run_id: str
    pid: int
    killable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What the main process heard, for the lease thread to tell: its event loop must not wait for Redis."""

    run_id: str
    what: What
    reason: str
    #: The child it happened to; 0 for none.
    pid: int = 0


class Reconciler:
    """Compares rows with children; used by the lease thread only, except for `tell` and `fenced`.

    Args:
        app: the guarded app.
        ledger: the ledger, on the lease thread's own connection.
        bodies: what the children are doing now.
        wake: wakes the lease thread.
    """

    def __init__(
        self,
        app: Any,
        ledger: Ledger,
        bodies: Callable[[], Iterable[Body]],
        wake: Callable[[], None],
    ) -> None:
        self.app = app
        self.ledger = ledger
        self.bodies = bodies
        self._wake = wake
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._idle: dict[str, int] = {}
        self._strays: dict[int, int] = {}
        self._fenced: set[int] = set()
        self._node = ""
        #: The worker is being shut down: a child that goes now was ended, and its run goes back without a loss.
        self.ending = False

    def tell(self, report: Report) -> None:
        """Tell of a death, of an unknown task or of a revocation, without waiting."""
        self._reports.put(report)
        self._wake()

    def fenced(self, pid: int) -> bool:
        """Note that this node kills a child itself, which is no loss; False if it was noted before."""
        new = pid not in self._fenced
        self._fenced.add(pid)
        return new

    def forget(self) -> None:
        """The node begins anew: nothing that was seen counts any more."""
        self._idle.clear()
        self._strays.clear()
        self._fenced.clear()

    def go_over(self, rows: Rows, node: str) -> None:
        """One comparison.

        Args:
            rows: the node's running rows: run id to fence and child.
            node: its id.
        """
        self._node = node
        for report in self._told():
            self._take(report, rows)
        self._find_lost(rows)
        self._kill_strays({fence for fence, _ in rows.values()})

    def _told(self) -> Iterator[Report]:
        with suppress(Empty):
            while True:
                yield self._reports.get_nowait()

    def _take(self, report: Report, rows: Rows) -> None:
        if report.what == "unknown":
            state = self.ledger.park(report.run_id)
            log.error("%s: this worker does not know its task; the run is now %s", report.run_id, state)
            return
        if report.what == "other":
            self.ledger.nudge(report.run_id)
            log.error("%s: %s; its own is rung", report.run_id, report.reason)
            return
        if report.what == "revoked":
            revoke.cancel(self.ledger, report.run_id)
            return
        fence, child = rows.get(report.run_id, (0, ""))
        if children.pid_of(child) != report.pid:  # it had not begun, or it has gone on since
            self.ledger.nudge(report.run_id)
            return
        del rows[report.run_id]
        if report.what == "limit":
            self._too_long(report, fence)
        else:
            self._lose(report.run_id, fence, child, report.reason)

    def _find_lost(self, rows: Rows) -> None:
        busy = {body.run_id for body in self.bodies()}
        said = children.bodies()
        idle: dict[str, int] = {}
        for run_id, (fence, child) in rows.items():
            if not children.is_alive(child):
                self._lose(run_id, fence, child, f"its child {child} is gone")
            elif run_id not in busy and said.get(children.pid_of(child)) != fence:
                if self._idle.get(run_id) == fence:
                    self._lose(run_id, fence, child, f"its child {child} is idle", "idle")
                else:
                    idle[run_id] = fence
        self._idle = idle

    def _kill_strays(self, fences: set[int]) -> None:
        killable = {body.pid for body in self.bodies() if body.killable}
        strays = {pid: fence for pid, fence in children.bodies().items() if fence not in fences and pid in killable}
        for pid, fence in strays.items():
            if self._strays.get(pid) == fence and self.fenced(pid):
                log.error("killing child %s: the ledger does not know its body with fence %s", pid, fence)
                children.kill(pid)
        self._strays = strays

    def _lose(self, run_id: str, fence: int, child: str, reason: str, kind: Loss = "child") -> None:
        if children.pid_of(child) in self._fenced:
            kind = "fenced"
        if self.ending:
            kind, reason = "shutdown", f"its worker was shut down: {reason}"
        state = self.ledger.lose(run_id, self._node, fence, kind, reason)
        log.log(40 if state == "quarantined" else 30, "%s: %s; the run is now %s", run_id, reason, state)
        if kind == "child" and state in ENDED:
            failures.tell(self.app, self.ledger, run_id, WorkerLostError(reason))

    def _too_long(self, report: Report, fence: int) -> None:
        """A hard time limit is a failure, tried again as the task's retries say."""
        run = self.ledger.find(report.run_id)
        if run is None:
            return
        rolling = run.state == "rolling_back"
        task = self.app.tasks.get(run.task)
        policy = ROLLBACK_RETRIES if rolling else getattr(task, "retries", Retries())
        failed = run.rollback_failures if rolling else run.failures
        again = decide(policy, TimeLimitExceeded(report.reason), failed)
        error = {"type": "TimeLimitExceeded", "message": report.reason, "traceback": "", "retry_safe": None}
        data: dict[str, Any] = {"reason": f"{report.reason}; {again.reason}", "error": json.dumps(error)}
        if isinstance(again, Again):
            data["delay"] = int(again.delay * 1000)
        try:
            state = self.ledger.settle(report.run_id, self._node, fence, OUTCOMES[rolling, "delay" in data], **data)
        except LostOwnership as lost:
            log.warning("%s", lost)
            return
        log.warning("%s: %s; the run is now %s", report.run_id, report.reason, state)
        if state in ENDED and not rolling:
            failures.tell(self.app, self.ledger, report.run_id, TimeLimitExceeded(report.reason))
