"""What came with the message of a run, against what its row says: the body gets the row's.

A message is only a doorbell, which anybody may ring. One that is the row's own, letter for letter, is known by its
seal. With any other one the row hands out its own, and what is used of a message before the body begins (its task, its
limits) must be the same; where it is not, nothing begins, and the row's own is sent.
"""

from __future__ import annotations

import json
from typing import Any

from celery.app.task import Context

from celery_anp.reliability.message import Opened
from celery_anp.sending.message import KEPT

#: The entry of a request that holds the seal of its message. `seams.request` sets it, whatever the message says.
SEAL = "anp_seal"
#: What a request says of its delivery, and not of its run.
OF_DELIVERY = ("id", "hostname", "delivery_info", "called_directly", "is_eager", "loglevel", "logfile")


def shown(task: Any) -> tuple[str, str]:
    """What `begin` is shown of the message that came.

    Args:
        task: the guarded task, whose current request is the message's.

    Returns:
        Its seal, and JSON of what was used of it already (begin.lua).
    """
    request = task.request
    hard, soft = request.timelimit or (None, None)
    priority = (request.delivery_info or {}).get("priority") or 0
    return getattr(request, SEAL, ""), json.dumps([task.name, hard, soft, request.root_id, priority])


def replaced(request: Any, own: Opened) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Put what the row's own message says in the place of what came.

    Args:
        request: Celery's; it is changed in place.
        own: the row's message.

    Returns:
        The arguments and the keyword arguments.
    """
    args, kwargs, embedded = own.body
    kept = {name: getattr(request, name) for name in OF_DELIVERY if name in vars(request)}
    named = {name: own.property(name) for name in KEPT}
    entries = {**own.headers, **embedded, **named, "properties": own.whole["properties"], **kept}
    request.clear()
    request.update(vars(Context({**entries, "args": args, "kwargs": kwargs})))
    return tuple(args), kwargs
