"""Lease and upkeep as a step of Celery's worker: started before the pool forks, stopped after it has ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import billiard.pool
from celery import bootsteps, signals
from celery.worker import state

from celery_anp.contract.complete import check_tasks
from celery_anp.errors import AnpError
from celery_anp.execution import children
from celery_anp.node import inspected, revoke
from celery_anp.node.lease import Lease
from celery_anp.node.reconcile import Body
from celery_anp.node.upkeep import Upkeep
from celery_anp.node.watchdog import Watchdog, leave
from celery_anp.reliability.live import Live
from celery_anp.seams import child_pipe, forked, sent_twice, shrinking, start
from celery_anp.task import ReliableTask

#: A child that ends waits until the main process has read its last results, which at a warm shutdown under load it may
#: not do any more: billiard 4.3 then waits 30 s (seen in half of 25 shutdowns of a plain worker). The outcome is in the
#: ledger by then, so a second is enough; looks are 0.1 s apart.
SHUTDOWN_LOOKS = 10


class NodeStep(bootsteps.StartStopStep):
    """Makes this worker a node of the ledger, for longer than anything else of it runs.

    Celery stops its steps in the reverse of the order in which they start, and sorts only those that require each
    other: two that do not stand as sets have them, by the hash seed of the process. A goodbye while the pool still runs
    hands every running body to another worker, so this step takes the first place whatever the order.
    """

    label = "Node"

    def include(self, worker: Any) -> bool:
        """Be the first to start and the last to stop."""
        included = bool(super().include(worker))
        worker.steps.remove(self)
        worker.steps.insert(0, self)
        return included

    def create(self, worker: Any) -> Any:
        """Registers with the ledger before the pool forks, so that every child knows its node."""
        app = worker.app
        revoke.install()
        inspected.install()
        child_pipe.install()
        shrinking.install()
        billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = SHUTDOWN_LOOKS
        try:
            check_tasks(app)
            start.refuse(start.unkept_by_worker(app))
            app.ledger.store.check_server()
            Live(app.ledger.store).refuse_other(app.identity)
            start.tell(app)
            self.upkeep = Upkeep(app)
            app.lease = Lease(app, "worker", bodies, lambda: queues(worker))
            app.lease.start()
        except AnpError as error:
            # Celery would print a traceback and go on without us.
            sys.stderr.write(f"anp: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        self.watchdog = Watchdog(worker, app.ledger.separate(), lambda: self._end_stalled(app))
        return self

    def start(self, worker: Any) -> None:
        """The blueprint starts: upkeep begins."""
        self.upkeep.start()
        self.watchdog.start()
        worker.wait_for_soft_shutdown = self._silent_while(worker.wait_for_soft_shutdown)

    def close(self, _worker: Any) -> None:
        """The worker begins to shut down, with bodies that may take long: from now on it may be silent."""
        self.watchdog.stop()

    def stop(self, worker: Any) -> None:
        """The pool has ended: say goodbye."""
        self.upkeep.stop()
        worker.app.lease.stop()

    def terminate(self, worker: Any) -> None:
        """The pool was ended at once: say goodbye all the same."""
        self.stop(worker)

    def _silent_while(self, wait: Callable[[], None]) -> Callable[[], None]:
        """Celery waits for the grace of a shutdown inside a signal handler, and hears nothing meanwhile."""

        def wait_silently() -> None:
            self.watchdog.stop()
            wait()

        return wait_silently

    def _end_stalled(self, app: Any) -> None:
        app.lease.reconciler.ending = True
        for body in bodies():  # before another worker begins their runs
            children.kill(body.pid)
        app.lease.stop("its worker had stalled")
        leave()


def bodies() -> Iterator[Body]:
    """What the children of this worker are doing now."""
    for request in list(state.active_requests):
        task = request.task
        if isinstance(task, ReliableTask) and request.worker_pid:
            yield Body(request.id, request.worker_pid, task.on_lost != "finish")


def queues(worker: Any) -> list[str]:
    """The queues that this worker serves now, also those that were added or cancelled while it runs."""
    consumer = getattr(getattr(worker, "consumer", None), "task_consumer", None)
    if consumer is None:  # it starts, or connects again
        return list(worker.app.amqp.queues.consume_from)
    return [queue.name for queue in list(consumer.queues)]


def lead_own_group(**_: Any) -> None:
    """A child leads its own process group, so that it is killed with what it started."""
    with suppress(OSError):
        os.setpgrp()


def fall_silent(task: Any = None, **_: Any) -> None:
    """An attempt has ended, however it did: its child does not say any more that it runs its body."""
    if not task.request.is_eager:  # else it is a call within a body
        children.says(0)


def install(app: Any) -> None:
    """Make every worker of this app a node."""
    forked.install()
    sent_twice.install()
    app.steps["worker"].add(NodeStep)
    signals.worker_process_init.connect(lead_own_group, weak=False, dispatch_uid="anp-own-group")
    signals.task_postrun.connect(fall_silent, weak=False, dispatch_uid="anp-silent")
