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
                                                    (nothing was undone: what it was before)

    queued, running ──(no living node knows the task, or the stored input does not fit it)──> parked
    parked ──(a node that knows the task came later)──> queued, or blocked where its lock is taken
    running ──(its body put another task in its place)──> delayed ──(that is sent)──> queued, blocked or delayed as that

A row that is not final is in exactly one index: the queue, the time, a lock, or a node. Upkeep walks each of them.
Begin and settle are one script each; only the holder of a run's fence can settle it. A lock belongs to a run, not to
an attempt, and is handed on by the script that ends the run. Time is Redis' own, inside the scripts.

`keys.py` lists the ledger's keys, `row.py` the fields of a run's row; the tests compare both with the scripts and with
the code. Each script opens with the keys that its own text touches, its arguments and its answer. What its calls touch
stands on top of the shared files, which are put before it in the order of `keyspace.SHARED`.
"""
