"""What is promised of a run, and how. No Celery in here.

The ledger is the truth, the message is a doorbell: a message may be lost or doubled without harm.

Limit, before everything else: Redis can make *our record* happen once. An effect in another system happens once only
if it is repeatable, keyed by run id, guarded by the fence, or undoable.

    plan ──> delayed ──┐                 ┌──────────> succeeded
      │                v                 │
      ├────────────> queued ──> running ─┼─> (retry) delayed
      │                ^  ^        │     │
      └──> blocked ────┘  └─(lost)─┘     └─> failed, cancelled, quarantined ──(hook)──> rolling_back
                                                                                           │
      decided without a body: skipped, expired, cancelled, sent          rolled_back <─────┴───> rollback_failed

A row that is not final is in exactly one index: the queue, the time, a lock, or a node. Upkeep walks each of them.
Begin and settle are one script each; only the holder of a run's fence can settle it. A lock belongs to a run, not to
an attempt, and is handed on by the script that ends the run. Time is Redis' own, inside the scripts.
"""
