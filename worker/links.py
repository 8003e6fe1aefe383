"""The next links of a canvas, when the worker died between settling a run and sending them.

Celery sends them itself after the body. Their ids are frozen, so sending them twice plans each once. A run that ends
without a body (skipped, reaped, cancelled) has its links sent from here too.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.utils.log import get_logger
from kombu.utils import json

from worker.errors import RunEnded
from worker.reliability.ledger import Ledger
from worker.reliability.run import Run

log = get_logger(__name__)


def send(app: Any, ledger: Ledger, run_id: str) -> None:
    """Send what follows an ended run, and confirm it.

    Args:
        app: the guarded app.
        ledger: the ledger.
        run_id: the ended run.
    """
    run = ledger.find(run_id)
    text = ledger.store.read("hget", ledger.store.key(f"run:{run_id}"), "message")
    if run is None or text is None:
        ledger.links_done(run_id)
        return
    message = json.loads(text)
    embed = message["body"][2]
    request = Context({**message["headers"], **embed, "called_directly": False, "delivery_info": {}})
    log.warning("sending the next links of %s, which is %s", run_id, run.state)
    if run.state == "succeeded":
        _go_on(app, request, run)
    else:
        error = RunEnded(f"{run_id} ended as {run.state}: {run.reason}")
        app.backend.mark_as_failure(run_id, error, request=request, store_result=False)
    ledger.links_done(run_id)


def _go_on(app: Any, request: Any, run: Run) -> None:
    family = {"parent_id": run.run_id, "root_id": request.root_id or run.run_id}
    for callback in request.callbacks or ():
        maybe_signature(callback, app=app).apply_async((run.result,), **family)
    if request.chain:
        following = maybe_signature(request.chain[-1], app=app)
        following.apply_async((run.result,), chain=request.chain[:-1], **family)
    app.backend.mark_as_done(run.run_id, run.result, request=request, store_result=False)
