"""A chain object that is sent again is a new chain, with ids of its own.

Celery 5.7 writes the id of its last task into the chain when it is sent; sent again, that task would get the id of a
run that there is, and would not run. A chain that was frozen before keeps its ids: it is one canvas, however often it
is sent.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from celery.canvas import _chain


def install() -> None:
    """Every chain that is sent from now on has no id afterwards that it did not have before."""
    send = _chain.apply_async
    if hasattr(send, "__wrapped__"):
        return

    @wraps(send)
    def apply_async(self: Any, *args: Any, **options: Any) -> Any:
        frozen = "task_id" in self.options
        try:
            return send(self, *args, **options)
        finally:
            if not frozen:
                self.options.pop("task_id", None)

    _chain.apply_async = apply_async
