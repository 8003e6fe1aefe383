"""How Celery calls errbacks, for every version that we work with: the old ones call some with what they do not take.

An errback that takes a request, an exception and a traceback is called here, and what it raises changes nothing else;
one that takes less is sent as a task with the id of what failed. Before Celery 5.7 arguments that a signature holds
already counted too, so that such an errback was called with too many.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.canvas import Signature, group, maybe_signature
from celery.exceptions import NotRegistered
from celery.utils.functional import arity_greater
from celery.utils.log import get_logger

from celery_anp.canvas.signatures import last, listed

log = get_logger(__name__)


def call(app: Any, request: Any, exc: Any, traceback: Any) -> None:
    """Call or send the errbacks of a request.

    Args:
        app: the guarded app.
        request: what failed; its errbacks have ids.
        exc: why.
        traceback: where.
    """
    sent = []
    for errback in (app.signature(one) for one in request.errbacks):
        errback._app = errback._app or app
        if not _is_called(errback):
            sent.append(errback)
            continue
        try:
            errback(request, exc, traceback)
        except Exception:
            log.exception("the errback %s raised", errback.task)
    if sent:
        _send(app, request, sent)


def alone(app: Any, body: Signature) -> list[Any]:
    """The errbacks of a chord's body but for those that the chord around it has too: that one fails with it, and calls
    them. Celery gives a chord's errback to the chords in its header as well.

    Args:
        app: the guarded app.
        body: the body of a chord that fails.
    """
    around = maybe_signature(last(app, body).options.get("chord"), app=app)
    called = [_said(one) for one in listed(around.options.get("link_error"))] if around else []
    return [one for one in listed(body.options.get("link_error")) if _said(one) not in called]


def _said(errback: Any) -> tuple[Any, ...]:
    return errback["task"], list(errback["args"]), dict(errback["kwargs"])


def _send(app: Any, request: Any, errbacks: list[Signature]) -> None:
    family = {"parent_id": request.id, "root_id": request.root_id or request.id}
    together = group(errbacks, app=app)
    eager = app.conf.task_always_eager or (request.delivery_info or {}).get("is_eager", False)
    (together.apply if eager else together.apply_async)((request.id,), **family)


def _is_called(errback: Signature) -> bool:
    """Whether it takes more than an id; one that is not registered here is for another worker."""
    try:
        header = getattr(errback.type, "__header__", None)  # a task that is a class has none
    except NotRegistered:
        return False
    if header is None or isinstance(header, partial):  # of a bound task
        return False
    held = not errback.immutable and (errback.args or errback.kwargs)
    try:
        return bool(arity_greater(partial(header, *errback.args, **errback.kwargs) if held else header, 1))
    except (TypeError, ValueError):
        return bool(arity_greater(header, 1))
