"""A message from a producer that does not know the ledger: its row is planned on receipt, its id as run id.

Limit: what Celery's main process has done with it by then (its `task-received` event) had no row yet.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context

from celery_anp.canvas import links
from celery_anp.execution.delivered import SEAL
from celery_anp.execution.record import is_ignored
from celery_anp.sending.call import timing_of
from celery_anp.sending.draft import draft
from celery_anp.sending.message import LINKS, built, written
from celery_anp.sending.publisher import FAMILY


def adopt(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Plan the row of a message that has none. A row that is there already stays as it is.

    Args:
        task: the guarded task, whose current request is the message's.
        args: the arguments that came.
        kwargs: the keyword arguments that came.

    Raises:
        BadInput: the input does not fit the task.
        LimitExceeded: the message is too large.
        LedgerFull, LedgerUnavailable: nothing was planned.
    """
    request, app = task.request, task.app
    checked = task.contract.check(args, kwargs)
    hard, soft = request.timelimit or (None, None)
    options = {
        "time_limit": hard,
        "soft_time_limit": soft,
        "ignore_result": is_ignored(task),
        "reply_to": request.reply_to,
    }
    message, queue, priority = built(task, request.id, checked, options)
    message.headers.update({name: getattr(request, name, None) for name in FAMILY})
    links.name_own(app, request)
    embed = {name: getattr(request, name, None) for name in LINKS}
    message = message._replace(
        headers={**_own_headers(request), **message.headers}, body=(checked.args, checked.kwargs, embed)
    )
    text = written(message, queue, priority, by_kombu=not app.amqp.sends_itself(queue), held=True)
    timing = timing_of(None, request.eta, request.expires)
    app.ledger.plan([draft(task, request.id, checked, text, timing=timing)])


def _own_headers(request: Any) -> dict[str, Any]:
    """The headers that its producer added to Celery's."""
    return {name: value for name, value in vars(request).items() if not hasattr(Context, name) and name != SEAL}
