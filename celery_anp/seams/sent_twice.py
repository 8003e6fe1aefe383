"""A chain, a group or a chord that is sent again is a new one, with ids of its own.

One that was frozen, and with Celery 5.7 any chain that was sent, keeps the ids of its tasks: sent again, they would be
the runs that there are, and nothing would run.

Limit: the object is meant, in the process that sent it. A copy as JSON keeps its ids, and a single signature that was
frozen too: it is one run.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from celery.canvas import _chain, _chord, group

from celery_anp.canvas.signatures import renewed

#: What says on an object that it was sent.
SENT = "anp_sent"


def install() -> None:
    """Every canvas that is sent again from now on is a new one."""
    for kind in (_chain, _chord, group):
        if not hasattr(kind.apply_async, "__wrapped__"):
            kind.apply_async = _anew(kind.apply_async)


def _anew(send: Any) -> Any:
    @wraps(send)
    def apply_async(self: Any, *args: Any, **options: Any) -> Any:
        again = SENT in vars(self)
        setattr(self, SENT, True)
        return send(renewed(self) if again else self, *args, **options)

    return apply_async
