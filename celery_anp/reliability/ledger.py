"""The ledger: the truth about every run. Each method is one script.

What it promises is in the package docstring; each script opens with its keys.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from celery_anp.errors import KeyConflict, LostOwnership, Refused, Retired, StateLost
from celery_anp.reliability.keyspace import TIMEOUT, Keyspace, fresh
from celery_anp.reliability.overrides import signed
from celery_anp.reliability.reader import Reader
from celery_anp.reliability.records import (
    DAY,
    Begun,
    Decided,
    Decision,
    Handed,
    Keeping,
    Loss,
    NewRun,
    Operation,
    Outcome,
    Planned,
    Round,
    read_handed,
    read_planned,
    spec_of,
)
from celery_anp.reliability.run import Run
from celery_anp.settings import Settings

#: Rows that one call of upkeep takes on; runs whose links it hands out.
MOST, MOST_LINKS = 500, 100
#: The outbox has a lane for each, so that a receiver that hangs holds up only its own.
LANES = ("alert", "ping")
_WHEN: dict[str, str] = {
    "retry": "a run that failed, was rolled back, cancelled, quarantined, skipped or expired",
    "rollback": "a finished run that has begun, of a task with a rollback hook",
    "cancel": "a run that is not finished",
    "resolve": "a run whose rollback failed",
}


@dataclass(frozen=True)
class Ledger(Reader):
    """The ledger on one Redis.

    Args:
        store: connection and scripts.
        lease: milliseconds after which a silent node is dead.
        keeping: how long rows are kept.
    """

    store: Keyspace
    lease: int = 15_000
    keeping: Keeping = field(default_factory=Keeping)

    @classmethod
    def connect(cls, settings: Settings, url: str = "") -> Ledger:
        """The ledger that the settings name; connects on first use.

        Args:
            settings: where it is, and how long rows are kept.
            url: another Redis than theirs.
        """
        from celery_anp.reliability.store import Store  # redis-py: a command does without

        return cls.on(Store.of(settings, url), settings)

    @classmethod
    def on(cls, store: Keyspace, settings: Settings) -> Ledger:
        """The ledger on a Redis that is reached already.

        Args:
            store: what reaches it.
            settings: how long rows are kept.
        """
        keeping = Keeping(int(settings.keep_days * DAY), int(settings.keep_failed_days * DAY), settings.keep_rows)
        return cls(store, int(settings.lease * 1000), keeping)

    def separate(self, timeout: float = TIMEOUT) -> Ledger:
        """The same ledger for one thread; see `Keyspace.separate`."""
        return replace(self, store=self.store.separate(timeout))

    # -- planning ---------------------------------------------------------------------------------

    def plan(self, runs: Sequence[NewRun]) -> list[Planned]:
        """Plan runs: each becomes one row, once, however often it is planned; its message is sent with it.

        Args:
            runs: what to plan.

        Returns:
            For each run what became of it.

        Raises:
            KeyConflict: a run id exists with another input.
            LedgerFull, LedgerUnavailable: nothing was planned.
        """
        answers = json.loads(self.store.call("plan", *(json.dumps(self.spec(run)) for run in runs)))
        for run_id, what, state, *_ in answers:
            if what == "conflict":
                raise KeyConflict(
                    f"The idempotency key of {run_id} was used before with another input",
                    expected="the same input, or another key",
                    given=f"a run that is {state}",
                )
        return [read_planned(answer) for answer in answers]

    def decide(self, decisions: Sequence[Decision], digest: str = "") -> list[Decided]:
        """Decide ticks of several schedules in one script.

        Args:
            decisions: per schedule the cursor seen, the new cursor, and the rows.
            digest: of the schedules that they were worked out from; compared with the live ones unless empty.

        Returns:
            What became of each.

        Raises:
            Retired: other schedules are live; nothing was decided.
            StateLost: Redis knows of no live schedules; nothing was decided.
        """
        specs = [
            json.dumps({
                "name": d.schedule, "seen": d.seen, "cursor": d.cursor, **({} if d.late is None else {"late": d.late}),
                "runs": [self.spec(run) for run in d.runs],
            })
            for d in decisions
        ]  # fmt: skip
        word, *answer = self.store.call("tick", digest, *specs)
        if word == "retired":
            raise Retired("Other schedules are live")
        if word == "lost":
            raise StateLost("Redis knows of no live schedules")
        return [
            Decided(name, word == "moved", cursor, tuple(read_planned(plan) for plan in plans))
            for name, word, cursor, plans in answer[0]
        ]

    def spec(self, run: NewRun) -> dict[str, Any]:
        """A run as the scripts plan it."""
        return spec_of(run, self.keeping)

    # -- the life of an attempt -------------------------------------------------------------------

    def begin(self, run_id: str, node: str, child: str, token: str, seal: str, used: str) -> Begun | str:
        """Begin an attempt.

        Args:
            run_id: the run.
            node: this node's id; its lease must be alive.
            child: this process, as the node can find it again.
            token: unique for this delivery of the message.
            seal: of the message that came; empty for one that no row has written.
            used: JSON of what was used of it before the body (begin.lua).

        Returns:
            The attempt, or a word why there is none: `gone`, `lease`, `other` (the message is not the row's, whose own
            is sent), or the row's state.
        """
        word, *answer = self.store.call("begin", run_id, node, child, token, seal, used)
        if word == "no":
            return str(answer[0])
        fence, attempt, failures, kind, message, due, deadline = answer
        return Begun(int(fence), int(attempt), int(failures or 0), kind, message, int(due or 0), int(deadline or 0))

    def settle(
        self, run_id: str, node: str, fence: int, outcome: Outcome, *, meta: str | bytes = b"", **data: Any
    ) -> str:
        """Settle an attempt.

        Args:
            run_id: the run.
            node: the node that began it.
            fence: the attempt's fence.
            outcome: how it ended.
            meta: Celery's record, as its backend encodes it; empty for none.
            **data: `reason`, `result` and `error` (JSON text), `partial` (1 where that is not the whole result),
                `as_expected` (0 or 1), `delay` (ms until a retry, or until it is put back), `message` (with a changed
                input), its `seal`, `linked` (whether that message carries links), `child_tells` (whether the caller
                tells Celery's backend of it), `told` (whether its body has told that itself), `replacement` (JSON
                text), `apart` (whether it begins with other runs).

        Returns:
            The state the run has now.

        Raises:
            LostOwnership: the attempt does not own the run any more.
            BadRequest: Redis cannot store this.
        """
        # half a letter, as in the name of a file that is no UTF-8: Redis reads no JSON with it, and nobody could settle
        text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        state, *now = self.store.call("settle", run_id, node, fence, outcome, text, meta)
        if state == "refused":
            raise LostOwnership(
                f"The late result of {run_id} was refused",
                expected=f"fence {fence} on node {node} to own the run",
                given=f"a run that is {now[0] or 'gone'}",
            )
        return str(state)

    def give_up(self, run_id: str, reason: str, error: str) -> bool:
        """What a run was replaced by has failed before the run could go on.

        Args:
            run_id: the run.
            reason: why.
            error: the same, as JSON.

        Returns:
            Whether it waited for that, and has failed now.
        """
        return bool(self.store.call("give_up", run_id, reason, error))

    def record(self, run_id: str, node: str, fence: int, what: str, *values: str | float) -> str:
        """Record an undo entry, a step, progress, or an undo outcome (record.lua).

        Returns:
            `ok`, or `full` for an undo entry beyond the limit of one attempt.

        Raises:
            LostOwnership: the attempt does not own the run any more.
        """
        answer = str(self.store.call("record", run_id, node, fence, what, *values))
        if answer == "lost":
            raise LostOwnership(
                f"This attempt does not own {run_id} any more, so its {what} was refused",
                expected=f"fence {fence} to be the current one",
            )
        return answer

    # -- nodes and upkeep -------------------------------------------------------------------------

    def heartbeat(
        self, node: str, about: Mapping[str, str] | None = None, *, news: Mapping[str, str] | None = None
    ) -> dict[str, tuple[int, str]] | None:
        """Register a node, or renew its lease.

        Args:
            node: its id.
            about: what it says of itself; given, it registers.
            news: what it says anew.

        Returns:
            Its running rows (run id to fence and child), or None once it was given up for dead.
        """
        pairs = [text for pair in {**(about or {}), **(news or {})}.items() for text in pair]
        alive, rows = self.store.call("heartbeat", node, self.lease, int(bool(about)), *pairs)
        if not alive:
            return None
        ids, values = rows[::2], rows[1::2]
        split = [value.split("|", 1) for value in values]
        return {run_id: (int(fence), child) for run_id, (fence, child) in zip(ids, split, strict=True)}

    def go_round(self, host: str) -> Round:
        """What upkeep does each second, in one round trip: `reap`, `promote`, `ring`, `links_due`, `look_for_late`, and
        whether the outbox has something to send.

        Args:
            host: whose nodes are asked for.
        """
        listed, _, handed, linked, _, lanes = self.store.scripts([
            ("reap", self.lease, MOST, host), ("promote", MOST), ("ring", MOST), ("links", "due", MOST_LINKS),
            ("late", MOST), ("outbox", "due", *LANES),
        ])  # fmt: skip
        return Round(_pairs(listed), read_handed(handed), list(linked), list(lanes))

    def lose(self, run_id: str, node: str, fence: int, kind: Loss, reason: str) -> str:
        """Tell that an attempt of this node is gone.

        Returns:
            The state the run has now; `refused` if it was settled or taken over.
        """
        return str(self.store.call("lose", run_id, node, fence, kind, reason))

    def goodbye(self, node: str, reason: str) -> None:
        """The node leaves in order; its unfinished rows go back without a loss."""
        self.store.call("goodbye", node, reason)

    def reap(self, most: int = MOST, host: str = "") -> dict[str, str]:
        """Take back the runs of nodes whose lease is over.

        Args:
            most: rows that are taken back now.
            host: whose nodes are asked for; empty for none.

        Returns:
            The nodes that live on that host, and where, as `process.place.Place` reads it.
        """
        return self._reap(most, host)

    def reap_proved(self, node: str, host: str, reason: str, gone: Mapping[str, str]) -> None:
        """Take back the runs of a node whose death is proved; it leaves with the last.

        Args:
            node: the node.
            host: where it lived.
            reason: the proof, for the history of its runs.
            gone: its runs whose child is gone too, with the fence and the child that `held` gave for them.
        """
        self._reap(MOST, host, node, reason, *(text for pair in gone.items() for text in pair))

    def _reap(self, most: int, host: str, *proved: str) -> dict[str, str]:
        return _pairs(self.store.call("reap", self.lease, most, host, *proved))

    def held(self, node: str) -> dict[str, str]:
        """The runs that a node holds, each with its `<fence>|<child>`."""
        return dict(self.store.read("hgetall", self.store.key(f"running:{node}")))

    def promote(self, most: int = MOST) -> None:
        """Make ready what is due; give locks without a holder to who waits."""
        self.store.call("promote", most)

    def ring(self, most: int = MOST) -> Handed:
        """Ring the queued runs whose message is gone.

        Returns:
            The messages that only kombu can send: the caller does.
        """
        return read_handed(self.store.call("ring", most))

    def nudge(self, run_id: str) -> None:
        """The message of a run went down with a child before it began: do not wait for the grace."""
        self.store.call("nudge", run_id)

    def amend(self, run_id: str, seal: str, text: str, new_seal: str) -> bool:
        """A run's message has got more headers on its way; its row keeps them if it has not begun.

        Args:
            run_id: the run.
            seal: of the message as its row had it.
            text: the whole message anew.
            new_seal: its seal.
        """
        return bool(self.store.call("amend", run_id, seal, text, new_seal))

    def park(self, run_id: str) -> str:
        """A worker got a run whose task it does not know; returns the state the run has now."""
        return str(self.store.call("park", run_id))

    def sent(self, run_ids: Sequence[str]) -> None:
        """The messages of these runs are out; those of tasks that are not guarded end as sent."""
        self.store.call("sent", *run_ids)

    def links_due(self, most: int = MOST_LINKS) -> list[str]:
        """Ended runs whose next links nobody confirmed."""
        return list(self.store.call("links", "due", most))

    def links_held(self, run_id: str) -> None:
        """The next links of a run are being sent: for another grace nobody else needs to."""
        self.store.call("links", "held", run_id)

    def links_done(self, run_id: str) -> None:
        """The next links of a run are sent."""
        self.store.call("links", "done", run_id)

    def links_placed(self, run_id: str) -> None:
        """What a run was replaced by is sent."""
        self.store.call("links", "placed", run_id)

    def look_for_unserved(self) -> int:
        """Tell of queues on which runs wait and that no living worker serves; returns how many there are."""
        return int(self.store.call("unserved", self.lease))

    def look_for_late(self, most: int = MOST) -> int:
        """Tell of schedules that should have succeeded by now; returns how many became late."""
        return int(self.store.call("late", most))

    def prune(self, most: int = 1000) -> int:
        """Drop rows from the indexes whose time to be kept is over; returns how many."""
        return int(self.store.call("prune", most))

    def make_room(self, over: int, most: int) -> tuple[int, int, int]:
        """Forget the oldest finished rows, or first what Celery keeps of runs whose rows are gone.

        Args:
            over: so many of the oldest rows are passed over: they had to stay.
            most: rows that are looked at.

        Returns:
            How many were forgotten, how many rows were looked at, and how many of these had to stay.
        """
        forgot, looked, stayed = self.store.call("make_room", over, most)
        return int(forgot), int(looked), int(stayed)

    def set_full(self, full: bool, *, used: int = 0, limit: int = 0, dropped: int = 0) -> None:
        """Refuse planning while Redis is near its memory limit, or allow it again; tell who is to be told.

        Args:
            full: whether it is refused.
            used: bytes that Redis uses.
            limit: bytes that it may; 0 for no limit.
            dropped: rows that were dropped just now, to make room.
        """
        self.store.call("memory", used, limit, int(full), dropped)

    # -- operators --------------------------------------------------------------------------------

    def operate(self, run_id: str, what: Operation, by: str, note: str = "") -> Run:
        """What an operator asks for.

        Args:
            run_id: the run.
            what: the operation.
            by: who asks.
            note: why.

        Returns:
            The run after it.

        Raises:
            BadUsage: who or why cannot be kept.
            UnknownName: there is no such run.
            Refused: its state forbids it.
        """
        signed(by, note)
        word, state = self.store.call("operate", run_id, what, by, note, fresh())
        if word == "gone":
            raise self.unknown(run_id)
        if word == "refused":
            raise Refused(f"{what} of {run_id} is not possible", expected=_WHEN[what], given=f"a run that is {state}")
        return self.run(run_id)

    def cancel(self, run_ids: Sequence[str], states: Collection[str], by: str, note: str = "") -> int:
        """Cancel many runs in one script: a batch, of at most some hundreds.

        Args:
            run_ids: the runs.
            states: a run that is in none of them any more is left alone.
            by: who asks.
            note: why.

        Returns:
            How many were cancelled.
        """
        reason = f"cancel by {by}{f': {note}' if note else ''}"
        return int(self.store.call("cancel", reason, f",{','.join(states)},", *run_ids))


def _pairs(listed: Sequence[str]) -> dict[str, str]:
    return dict(zip(listed[::2], listed[1::2], strict=True))
