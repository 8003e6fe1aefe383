"""A call on its way through Celery, which builds its message; then one script plans its row and sends it.

It travels as an option of its own: what stands in the headers is copied into JSON by others, such as sentry-sdk.
"""

from __future__ import annotations

from celery.app.amqp import task_message

from celery_anp.reliability.records import Planned, Ring, Told
from celery_anp.sending.draft import Draft
from celery_anp.sending.message import completed

#: The option of `Celery.send_task`, which hands whatever it does not know to the publisher.
OPTION = "anp_call"


class Call:
    """One call, planned at most once.

    Args:
        draft: the checked call.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        #: What became of it; None until then.
        self.planned: Planned | None = None

    def plan(
        self, message: task_message, queue: str, priority: int | None, told: Told | None = None, *, sends: bool
    ) -> Ring:
        """Plan its row with the message that Celery built.

        Args:
            message: the message.
            queue: its queue.
            priority: 0 to 9, or None.
            told: Celery's event that it is sent, which the script tells.
            sends: whether the script puts the message on the queue's list.

        Returns:
            What is left to be sent.

        Raises:
            KeyConflict, LedgerFull, LedgerUnavailable: nothing was planned.
        """
        new = completed(self.draft.new, message, queue, priority, told, sends=sends)
        (self.planned,), ring = self.draft.task.ledger.plan([new])
        return ring
