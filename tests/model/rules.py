"""The rules of the protocol: each is one sentence, and one switch of the model."""

from __future__ import annotations

RULES: dict[str, str] = {
    # plan, begin, settle
    "plan_once": "planning a run again changes nothing",
    "begin_queued": "begin takes only a row that is in the queue index; a succeeded run is never entered again",
    "begin_token": "a replayed begin, known by its delivery's token, gets the first answer",
    "begin_lease": "begin is refused when the lease of its node is not alive",
    "settle_holder": "only the holder of the row's fence and node can settle it",
    "settle_memory": "a replayed settle gets the first answer",
    "links": "the next links are made in the script that settles",
    # nodes
    "reconcile": "each heartbeat compares the node's rows with its children, both ways",
    "second_sight": "the row of an idle child is lost at the second sight of the same fence, not at the first",
    "early_fence": "a cut node kills its children at two thirds of its lease, not at its end",
    "kill_all": "a cut node kills every child with a run, not only those with a lock",
    "gap": "after a silence of Redis nobody is reaped for a lease, decided inside the script",
    "prove_gone": "a node is reaped before its lease is over only when its main process is seen to be gone",
    "prove_children": "and of its rows only those whose child is gone too",
    "reap_last": "a dead node leaves the index only when it has no rows",
    "fence_clock": "a fence comes from the clock, so that it grows even after Redis lost its last writes",
    # messages
    "ring": "upkeep rings a queued row whose message is gone",
    "own_message": "begin runs what the row says: who comes with another message gets the row's, or nothing",
    # locks
    "lock_when_due": "a run takes its lock when it becomes due, not when it begins",
    "lock_in_loss": "the lock belongs to the run and is kept when an attempt is lost",
    "lock_in_backoff": "the lock is kept while the run waits to be tried again",
    "lock_in_rollback": "the lock is kept until the rollback has ended",
    "lock_if_undone_badly": "rollback_failed keeps the lock until an operator acts",
    "grant": "the script that frees a lock hands it to the first waiter",
    "end_frees": "every script that ends a run, also cancel and expire, hands on its lock",
    "one_waiter": "buffer_one keeps one waiter; the newest run is skipped",
    "begun_stays": "a run that has begun is never expired",
    # losses and retries
    "retries_first": "a failed attempt with tries left waits and runs again; only the last failure is final",
    "node_weighs_less": "the death of a node, and a child that is idle, weigh less than the death of a child",
    "fencing_is_free": "self-fencing and shutdown weigh nothing",
    "limit_is_failure": "a hard limit is a failed attempt, not a loss",
    # rollback
    "rollback_indexed": "the script that fails a run with a hook moves it to rolling_back and to the queue at once",
    "rollback_counts": "a rollback counts its own losses and tries",
    "rollback_fresh": "each rollback of a run starts these counts anew",
    "undo_first": "an undo entry is recorded before its effect",
    "undo_fenced": "step and undo check the fence",
    "store_fenced": "the outside store refuses a fence lower than the highest it has seen",
    "fence_first": "a hook's write raises the store's fence also when it finds nothing to undo",
    "reverse": "undo entries are handled in reverse order",
    "undone_or_not": "a run whose rollback undid nothing stays what it was: failed, cancelled, quarantined, succeeded",
    "clear_steps": "a rollback clears the finished steps",
    "resolve_clears": "resolve clears the finished steps too",
    # operators
    "rollback_locks": "a rollback asked for by an operator waits for the run's lock",
    "mark_ends": "a marked run ends at its next failure or loss; it is not tried again",
    "success_wins": "a settle that came before the cancel wins",
    "lock_waits": "cancel_other moves the lock once the holder has ended, not when it is marked",
    "supersede_unbegun": "cancel_other skips only waiters that never began, and leaves rollbacks in line",
    "retry_clears": "an operator's retry clears the mark, the counts and the start deadline",
    "ask_token": "an operator's request carries a token; its replay gets the first answer",
}

ALL = frozenset(RULES)
