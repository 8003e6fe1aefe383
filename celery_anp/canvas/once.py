"""Refuses a chain object that was sent before: Celery gives its last task the id that it had, and it would not run.

Celery before 5.7 gives it new ids, and it is not refused there. Seen by that task's row, or, before it has one, by what
this process remembers.

Limit: another process that sends the same object at the same time is not seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from celery_anp.canvas import signatures
from celery_anp.errors import BadUsage

#: Chains that a process remembers, the newest ones; older ones have rows by then.
MOST = 1000


class SentChains:
    """What this process has sent.

    Args:
        app: the guarded app.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self._firsts: OrderedDict[str, str] = OrderedDict()

    def refuse(self, run_id: str, options: Mapping[str, Any]) -> str:
        """Look at a chain that is about to be sent.

        Args:
            run_id: of its first task.
            options: of `apply_async`, with the `chain` that follows.

        Returns:
            The id of its last task, for `remember`; empty for anything else.

        Raises:
            BadUsage: it was sent before.
        """
        if options.get("parent_id") or not options.get("chain"):
            return ""
        chain, ledger = options["chain"], self.app.ledger
        tail = signatures.last(self.app, chain[0]).id
        ids = {tail, *(link["options"].get("task_id") for link in chain if link.get("options"))} - {None}
        sent = self._firsts.get(tail or "", run_id) != run_id
        if ids and not sent:
            sent = ledger.store.read("exists", *map(ledger.row_key, ids)) and ledger.find(run_id) is None
        if sent:
            raise BadUsage(
                "This chain has been sent before, and its last task would keep its id and not run again",
                expected="a chain that is made anew for each time",
                given=f"a chain with {tail}",
            )
        return tail or ""

    def remember(self, tail: str, run_id: str) -> None:
        """A chain was sent.

        Args:
            tail: what `refuse` returned.
            run_id: of its first task.
        """
        if tail:
            self._firsts[tail] = run_id
            while len(self._firsts) > MOST:
                self._firsts.popitem(last=False)
