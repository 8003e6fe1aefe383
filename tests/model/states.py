"""The words of the model: states of a run, indexes of the ledger, what a child is at."""

from __future__ import annotations

UNPLANNED, QUEUED, DELAYED, BLOCKED, RUNNING = "unplanned", "queued", "delayed", "blocked", "running"
SUCCEEDED, FAILED, CANCELLED, QUARANTINED = "succeeded", "failed", "cancelled", "quarantined"
ROLLING_BACK, ROLLED_BACK, ROLLBACK_FAILED = "rolling_back", "rolled_back", "rollback_failed"
SKIPPED, EXPIRED = "skipped", "expired"
FINAL = frozenset({SUCCEEDED, FAILED, CANCELLED, QUARANTINED, ROLLED_BACK, ROLLBACK_FAILED, SKIPPED, EXPIRED})

#: the four indexes, as bits, so that being in two or in none can be seen
QUEUE, TIME, LINE, NODE = 1, 2, 4, 8

#: what a child is at
IDLE, BEGINNING, BODY, SETTLING, LINKING, ASKING = "idle", "beginning", "body", "settling", "linking", "asking"
BUSY = frozenset({BEGINNING, BODY, SETTLING})

#: no run
NOBODY = -1
