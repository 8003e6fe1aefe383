"""The scenes of the quick search, each with the rules that it needs and the harm without each."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.scene import Scene

STUCK = "stuck for ever"
FORBIDDEN = "a state that must not be reached here"
TWO_BODIES = "two live bodies without a stop beyond the lease or a lost write"
TWO_SUCCESSES = "two successes of one run"
TWO_HOLDERS = "two recorded holders of one lock"
SKIPPED_BEGUN = "a begun run ends as skipped or expired"
LEFT_UNDONE = "rolled back, and an effect stands or an entry is open"


@dataclass(frozen=True)
class Experiment:
    """With all rules the scene holds; without one of these it shows this harm."""

    scene: Scene
    #: rule -> harm
    without: dict[str, str]


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


EVERY_FAULT = _set("cut freeze clock stop kill_node kill_main kill_child lose_answer give_up message limit shutdown")
EVERY_REQUEST = _set("cancel retry rollback resolve")

EXPERIMENTS = [
    # answers, messages, children
    Experiment(
        Scene("answers lost", limit=2, faults=_set("lose_answer"), budget=2, never=frozenset({"quarantined"})),
        {"begin_token": FORBIDDEN, "settle_memory": "a node's own settle is called late"},
    ),
    Experiment(
        Scene("children killed", faults=_set("kill_child give_up message lose_answer"), budget=2),
        {"reconcile": STUCK, "ring": STUCK, "links": STUCK, "begin_queued": TWO_SUCCESSES, "plan_once": TWO_SUCCESSES},
    ),
    Experiment(
        Scene("a slow look", slow_look=True, faults=_set("give_up"), never=frozenset({"quarantined"})),
        {"second_sight": FORBIDDEN},
    ),
    Experiment(
        Scene("messages forged", hook=True, fails=True, faults=_set("forge message kill_child lose_answer give_up"),
              budget=2),
        {"own_message": "a run does what a message says, and not what its row says", "ring": STUCK},
    ),
    # nodes
    Experiment(
        Scene("nodes killed", nodes=2, faults=_set("kill_node kill_child"), budget=2),
        {"begin_lease": "a running row whose node is not in the index"},
    ),
    Experiment(
        Scene("two rows of a dead node", runs=2, lock=False, faults=_set("kill_child kill_node"), budget=2),
        {"reap_last": "a running row whose node is not in the index"},
    ),
    Experiment(
        Scene("cut off", nodes=2, lock=False, faults=_set("cut freeze clock")),
        {"kill_all": TWO_BODIES, "gap": TWO_BODIES, "early_fence": TWO_BODIES},
    ),
    Experiment(
        Scene("its worker seen dead", nodes=2, faults=_set("kill_main cut stop")),
        {"prove_gone": TWO_BODIES, "prove_children": TWO_BODIES},
    ),
    Experiment(
        Scene("stopped", nodes=2, fails=True, retries=1, faults=_set("stop")),
        {"settle_holder": TWO_BODIES},
    ),
    Experiment(
        Scene("a write lost", nodes=2, effects=1, faults=_set("failover")),
        {"fence_clock": "a fence is given twice"},
    ),
    # losses
    Experiment(
        Scene(
            "losses by kind", retries=2, faults=_set("kill_node cut shutdown limit"), budget=2,
            never=frozenset({"quarantined"}),
        ),
        {"node_weighs_less": FORBIDDEN, "fencing_is_free": FORBIDDEN, "limit_is_failure": FORBIDDEN},
    ),
    # locks
    Experiment(
        Scene("skip", runs=2, overlap="skip", fails=True, retries=1, faults=_set("kill_child")),
        {"lock_in_loss": SKIPPED_BEGUN, "lock_in_backoff": SKIPPED_BEGUN, "lock_when_due": "a backlog under skip"},
    ),
    Experiment(
        Scene("deadline", runs=2, deadline=True, eta=True, faults=_set("kill_child")),
        {"begun_stays": SKIPPED_BEGUN},
    ),
    Experiment(
        Scene("one waits", runs=2, faults=_set("kill_child message"), requests=_set("cancel"), asks=1),
        {"grant": STUCK, "end_frees": STUCK},
    ),
    Experiment(
        Scene("buffer_one", runs=3, overlap="buffer_one", faults=_set("kill_child")),
        {"one_waiter": "two waiters under buffer_one"},
    ),
    # rollback
    Experiment(
        Scene("rollback under a lock", runs=2, nodes=2, hook=True, fails=True, faults=_set("kill_child")),
        {
            "lock_in_rollback": "a run works on what another left half done",
            "lock_if_undone_badly": "a half-undone run has lost its lock",
            "rollback_indexed": STUCK,
        },
    ),
    Experiment(
        Scene("late effects", nodes=2, hook=True, effects=1, limit=1, faults=_set("stop")),
        {"undo_fenced": LEFT_UNDONE, "store_fenced": LEFT_UNDONE, "fence_first": LEFT_UNDONE},
    ),
    Experiment(
        Scene("two effects", hook=True, effects=2, fails=True, limit=4, faults=_set("kill_child")),
        {
            "undo_first": LEFT_UNDONE,
            "reverse": "undo entries out of order",
            "undone_or_not": "rolled back, and nothing was undone",
        },
    ),
    Experiment(
        Scene(
            "rollback dies too", hook=True, fails=True, retries=1, faults=_set("kill_child"), budget=3,
            requests=_set("retry"), asks=1,
        ),
        {
            "rollback_counts": "rollback_failed before its third loss or last try",
            "rollback_fresh": "rollback_failed before its third loss or last try",
            "retries_first": "a rollback without terminal failure or request",
        },
    ),
    # operators
    Experiment(
        Scene(
            "requests", hook=True, effects=1, fails=True, faults=_set("kill_child lose_answer"),
            requests=EVERY_REQUEST, asks=2,
        ),
        {
            "clear_steps": "succeeded, and an effect is missing",
            "resolve_clears": "succeeded, and an effect is missing",
            "mark_ends": "a marked run is tried again",
            "success_wins": "a success is undone by a cancel",
            "retry_clears": "a marked run is tried again",
            "ask_token": "one request of an operator takes effect twice",
        },
    ),
    Experiment(
        Scene("rollback asked for", runs=2, nodes=2, hook=True, requests=_set("rollback resolve"), asks=1),
        {"rollback_locks": TWO_HOLDERS},
    ),
    Experiment(
        Scene(
            "cancel_other", runs=3, nodes=2, overlap="cancel_other", hook=True, budget=0,
            requests=_set("rollback"), asks=1,
        ),
        {"lock_waits": TWO_HOLDERS, "supersede_unbegun": SKIPPED_BEGUN},
    ),
]  # fmt: skip
