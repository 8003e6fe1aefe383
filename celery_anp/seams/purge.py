"""`celery purge`, which empties the broker's lists: what it does not do is said where it is asked for.

A purge drops messages, and a message of a guarded run is only a doorbell: the run stays in the ledger, and upkeep rings
again. Celery's command has no hook; it asks the app for a connection, in click's context that bears its name.
"""

from __future__ import annotations

import sys
from typing import Any

from celery.app.control import Control

from celery_anp.errors import AnpError


class LedgerControl(Control):
    """Remote control that says of a purge what it does not do."""

    def purge(self, connection: Any = None) -> Any:
        """Drop all messages that wait; see Celery's."""
        tell(self.app)
        return super().purge(connection)

    discard_all = purge


def tell(app: Any) -> None:
    """Say on stderr what a purge does not do, and what does it.

    Args:
        app: the guarded app.
    """
    try:
        waiting = app.ledger.backlog()
        many = f"{sum(waiting.values())} runs wait in the ledger ({', '.join(f'{n} {s}' for s, n in waiting.items())})"
    except AnpError as error:
        many = f"how many runs wait in the ledger cannot be read: {error}"
    sys.stderr.write(
        f"anp: a purge drops messages, not runs: {many}. Their messages are sent again within seconds, and they run. "
        "To end them: anp runs cancel --state queued,delayed,blocked [--task NAME] [--queue NAME]\n"
    )
    sys.stderr.flush()


def is_under_way() -> bool:
    """Whether this is `celery purge`."""
    click = sys.modules.get("click")
    context = click.get_current_context(silent=True) if click else None
    return context is not None and context.info_name == "purge"
