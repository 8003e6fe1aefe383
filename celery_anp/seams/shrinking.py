"""A pool that shrinks ends no child that has been given work (`--autoscale`, the remote control command `pool_shrink`).

Celery takes a child for busy when it has heard of the beginning of its body. What it was given just before may have
begun meanwhile: the body would be ended in the middle, and begun again elsewhere.
"""

from __future__ import annotations

from typing import Any

from celery.concurrency.asynpool import AsynPool

from celery_anp.execution import children


def is_given_work(pool: Any, child: Any) -> bool:
    """Whether a child of a pool has work: something is written to it, or it says itself that it runs a body."""
    if child.pid in children.bodies():
        return True
    jobs = list(pool._cache.values())
    return any(child in (job._write_to, job._scheduled_for) or child.pid in job.worker_pids() for job in jobs)


def install() -> None:
    """Every pool of processes shrinks so."""
    AsynPool._worker_active = is_given_work
