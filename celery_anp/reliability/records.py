"""What goes into the ledger's scripts and comes out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Outcome = Literal[
    "succeeded", "failed", "retry", "requeue", "replaced", "cancelled", "parked",
    "rolled_back", "rollback_retry", "rollback_failed",
]  # fmt: skip
Loss = Literal["child", "idle", "fenced", "shutdown"]
Operation = Literal["retry", "rollback", "cancel", "resolve"]
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is told to whoever listens when a row is planned: the Redis channel, and its text."""

    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What begins a run, and where it goes."""

    #: The whole message as the broker's list holds it, with `"anp_rung": 0` as the place for its stamp.
    text: str
    #: The broker's list that it goes to.
    list: str
    queue: str
    #: What tells its text from every other one but for the stamp: who begins the run shows it.
    seal: str = ""
    #: It carries links: callbacks, errbacks, a chain or a chord.
    linked: bool = False
    #: The queue is no plain list, so that no script can put it there.
    by_kombu: bool = False
    #: Who plans the run sends its message, or has it already: the script does so only when it is queued again.
    held: bool = False
    #: Celery's event that it is sent, told by the script that plans the run.
    told: Told | None = None
    #: Celery keeps a record of how the run ends.
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Timing:
    """When a run begins. Times are milliseconds since the epoch by Redis' clock."""

    #: Absolute due time, or 0 for now.
    due: int = 0
    #: Due this many milliseconds from now, instead of `due`.
    delay: int | None = None
    #: After this time it does not begin any more; 0 for never.
    deadline: int = 0


@dataclass(frozen=True, slots=True)
class LockUse:
    """The lock that a run takes, and what it does where the lock is taken."""

    #: Empty for none.
    name: str = ""
    overlap: str = "buffer_all"
    #: With `buffer_all`: runs that may wait for it.
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two calls one run."""

    #: Of the input, compared when an idempotency key comes again.
    digest: str
    #: Milliseconds for which calls with the same input get this run; 0 for never.
    unique_for: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """The tick that a run is of, and what its schedule promises."""

    schedule: str
    #: Its due time, ms since the epoch.
    time: int
    #: By when its schedule must have succeeded (ms); 0 for no such promise.
    late: int = 0
    #: Failures in a row after which its schedule is paused; 0 for never.
    pause_after: int = 0
    #: Where its start and its end are pinged.
    ping: str = ""
    #: It makes up for a tick of the past: a live tick that meets it waits instead of being skipped.
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A row that is only a decision ends at once."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is planned: the row of one run. `sending.draft` builds it."""

    run_id: str
    #: Name of its task.
    task: str
    #: Of who plans it.
    release: str = ""
    #: The task has a rollback hook.
    hook: bool = False
    #: The task is not guarded: the run ends as sent once its message is out.
    unguarded: bool = False
    #: Celery's result key; empty where no script can write it.
    meta_key: str = ""
    #: Only Celery's backend can write a record that no worker made.
    by_backend: bool = False
    #: None where it is only a decision, or while Celery is still to build it.
    message: Message | None = None
    timing: Timing = Timing()
    lock: LockUse = LockUse()
    key: Key | None = None
    tick: Tick | None = None
    #: The schedule that an operator runs by hand with it: its success counts as one of the schedule.
    stands_for: str = ""
    end: End | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of one plan."""

    run_id: str
    #: A new row, or one that was there.
    created: bool
    state: str
    reason: str
    #: Who planned it sends its message with this stamp (ms); 0 where the script did, or there is nothing to send.
    stamp: int = 0


@dataclass(frozen=True, slots=True)
class Handed:
    """Messages that only kombu can send: run id and message, and the stamp they carry (ms)."""

    stamp: int
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of upkeep found."""

    #: The nodes that live on this host, and where, as `process.place.Place` reads it.
    neighbours: dict[str, str]
    handed: Handed
    #: Ended runs whose next links nobody confirmed.
    linked: list[str]
    #: The outbox's lanes in which something is to be sent.
    lanes: list[str]


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt to perform, as `Ledger.begin` gives it."""

    fence: int
    attempt: int
    failures: int
    kind: Literal["run", "rollback"]
    #: The row's own message for who came with another one, else empty.
    message: str
    #: When it became due, where it waited for a time, and its deadline (ms); 0 for none.
    due: int = 0
    deadline: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Ticks of one schedule to decide: compared with its cursor, all or nothing."""

    schedule: str
    #: The cursor that the plan was worked out from; empty for none.
    seen: str
    cursor: str
    runs: tuple[NewRun, ...] = ()
    #: By when the next tick must have succeeded (ms); 0 for no such promise, None to leave what was promised.
    late: int | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision: refused when another beat moved the cursor first."""

    schedule: str
    moved: bool
    cursor: str
    planned: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows are kept."""

    short: int = 7 * DAY
    long: int = 30 * DAY
    rows: int = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are meant; what is empty or None is not asked for."""

    states: frozenset[str] = frozenset()
    task: str = ""
    schedule: str = ""
    queue: str = ""
    #: Planned at or after, and before, these times (ms).
    since: int | None = None
    until: int | None = None

    #: The fields of a row that `fits` looks at.
    FIELDS: ClassVar[tuple[str, ...]] = ("state", "task", "schedule", "queue", "created")

    def fits(self, row: Mapping[str, str]) -> bool:
        """Whether a run with these fields of its row is meant; one whose row is gone never is."""
        if not row.get("state") or (self.states and row["state"] not in self.states):
            return False
        asked = {"task": self.task, "schedule": self.schedule, "queue": self.queue}
        if any(wanted and row.get(name) != wanted for name, wanted in asked.items()):
            return False
        created = int(row.get("created") or 0)
        return (self.since is None or created >= self.since) and (self.until is None or created < self.until)


@dataclass(frozen=True, slots=True)
class Memory:
    """How much of its memory Redis uses, in bytes, and what that has cost."""

    used: int
    #: 0 for no limit.
    limit: int
    #: Planning is refused.
    full: bool
    #: Rows dropped before their time, to make room, since the ledger began; and the time (ms) of the last one.
    dropped: int = 0
    dropped_at: int = 0

    @property
    def share(self) -> float:
        """Part of its limit that is used; 0 where it has none."""
        return self.used / self.limit if self.limit else 0.0

    def said(self) -> str:
        """In words."""
        return f"{self.share:.0%} of its {self.limit / 2**20:.0f} MiB"


def spec_of(run: NewRun, keeping: Keeping) -> dict[str, Any]:
    """A run as the scripts plan it (planning.lua): what stands at its default is left out."""
    row: dict[str, Any] = {
        "task": run.task, "release": run.release, "hook": int(run.hook), "unguarded": int(run.unguarded),
        "meta_key": run.meta_key, "by_backend": int(run.by_backend), "stands_for": run.stands_for,
        "deadline": run.timing.deadline,
        "lock": run.lock.name, "overlap": run.lock.overlap, "limit": run.lock.limit,
        "keep_short": keeping.short, "keep_long": keeping.long, "keep_rows": keeping.rows,
    }  # fmt: skip
    row |= _of_message(run.message) | _of_tick(run.tick)
    spec: dict[str, Any] = {
        "id": run.run_id, "row": {name: str(value) for name, value in row.items() if value not in ("", 0)},
        "due": run.timing.due, "digest": run.key.digest if run.key else "",
    }  # fmt: skip
    if run.key and run.key.unique_for:
        spec |= {"unique": f"{run.task}:{run.key.digest}", "unique_for": str(run.key.unique_for)}
    if run.timing.delay is not None:
        spec["delay"] = run.timing.delay
    if run.end:
        spec |= {"ends": run.end.state, "reason": run.end.reason}
    if run.message and run.message.held:
        spec["held"] = True
    if run.message and run.message.told:
        spec |= {"channel": run.message.told.channel, "told": run.message.told.text}
    return spec


def _of_message(message: Message | None) -> dict[str, Any]:
    if message is None:
        return {}
    return {
        "message": message.text, "seal": message.seal, "list": message.list, "queue": message.queue,
        "linked": int(message.linked), "by_kombu": int(message.by_kombu),
    } | ({} if message.recorded else {"meta_key": "", "by_backend": 0})  # fmt: skip


def _of_tick(tick: Tick | None) -> dict[str, Any]:
    if tick is None:
        return {}
    return {
        "schedule": tick.schedule, "tick": str(tick.time), "late": tick.late, "pause_after": tick.pause_after,
        "ping": tick.ping, "backfill": int(tick.backfill),
    }  # fmt: skip


def read_planned(answer: Sequence[str]) -> Planned:
    """A plan's answer, as the script gives it."""
    run_id, what, state, reason, stamp = answer
    return Planned(run_id, what == "planned", state, reason, int(stamp))


def read_handed(answer: Sequence[Any]) -> Handed:
    """What is left for kombu to send, as the script gives it."""
    stamp, *flat = answer
    return Handed(int(stamp), tuple(zip(flat[::2], flat[1::2], strict=True)))
