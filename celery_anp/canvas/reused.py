"""A call under an id that has a run already: it is that run, and nothing runs again.

Where the call is a part of another chain or chord than the run was, nobody would ever tell that one: it is refused, so
that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_anp.canvas import signatures
from celery_anp.errors import BadUsage
from celery_anp.sending.message import read_back


def refuse(app: Any, run_id: str, options: Mapping[str, Any]) -> None:
    """Look at a call whose run was there.

    Args:
        app: the guarded app.
        run_id: its run.
        options: the call's, as `send_task` has them.

    Raises:
        BadUsage: it is a part of another chain or chord.
    """
    if not (options.get("chain") or options.get("chord")):
        return
    text = app.ledger.store.read("hget", app.ledger.row_key(run_id), "message")
    if not text:
        return
    message = read_back(text)
    own = message.headers.get("group"), _tail(app, message.body[2].get("chain"))
    if (options.get("group_id"), _tail(app, options.get("chain"))) != own:
        raise BadUsage(
            f"{run_id} has run in another chain or chord, or by itself, and would not run again in this one",
            expected="a signature that was not frozen, or a `task_id` of its own",
        )


def _tail(app: Any, chain: Any) -> str | None:
    """The id of the last task of a chain, as messages have it: the last one first."""
    return signatures.last(app, chain[0]).id if chain else None
