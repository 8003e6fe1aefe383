"""What goes into the ledger's scripts and comes out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal[
    "succeeded", "failed", "retry", "requeue", "cancelled", "rolled_back", "rollback_retry", "rollback_failed", "parked"
]
Loss = Literal["child", "idle", "fenced", "shutdown"]
Operation = Literal["retry", "rollback", "cancel", "resolve"]
DAY = 86_400_000
#: Upper ends of the buckets of lateness, in milliseconds; beyond the last it is `inf`. For scripts and metrics.
LATE = (100, 500, 1000, 5000, 15000, 60000, 300000)


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is told to whoever listens when a row is planned: the Redis channel, and its text."""

    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is planned: the row of one run. Times are milliseconds since the epoch."""

    run_id: str
    task: str
    #: The whole message, JSON: headers, properties, body, queue, priority.
    message: str
    #: The broker's list that the message goes to.
    list: str
    queue: str
    lock: str = ""
    overlap: str = "buffer_all"
    limit: int = 1000
    #: Absolute due time, or 0 for now.
    due: int = 0
    #: Due this many milliseconds from now by Redis' clock, instead of `due`.
    delay: int | None = None
    #: After this time it does not begin any more; 0 for never.
    deadline: int = 0
    schedule: str = ""
    tick: int = 0
    #: Digest of the input, compared when an idempotency key comes again.
    digest: str = ""
    #: Milliseconds for which calls with the same input get this run; 0 for never.
    unique_for: int = 0
    #: The task has a rollback hook.
    hook: bool = False
    #: The task is not guarded: the run ends as sent once its message is out.
    unguarded: bool = False
    #: It makes up for a tick of the past: a live tick that meets it waits instead of being skipped.
    backfill: bool = False
    #: The schedule that an operator runs by hand with it: its success counts as one of the schedule.
    stands_for: str = ""
    #: By when its schedule must have succeeded; 0 for no such promise.
    late: int = 0
    #: Failures in a row after which its schedule is paused; 0 for never.
    pause_after: int = 0
    #: Where its start and its end are pinged.
    ping: str = ""
    #: The message carries links: callbacks, errbacks, a chain or a chord.
    linked: bool = False
    #: Celery's result key.
    meta_key: str = ""
    #: The message as the broker's list holds it: the script that plans the run sends it too. Empty: the caller does.
    wire: str = ""
    #: Celery's event that it is sent, told by the same script.
    told: Told | None = None
    release: str = ""
    #: The row is only a decision: it ends at once in this state.
    ends: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of one plan."""

    run_id: str
    #: A new row, or one that was there.
    created: bool
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Messages that the caller has to send: run id and message, and the stamp they carry (ms)."""

    stamp: int
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer to a begin: an attempt to perform, or why there is none."""

    fence: int
    attempt: int
    failures: int
    kind: Literal["run", "rollback"]
    #: The row's message where the input was changed by a retry, else empty.
    message: str


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
class Node:
    """A living node: one worker process tree, or a beat."""

    node: str
    kind: str
    host: str
    pid: int
    tasks: tuple[str, ...]
    release: str
    #: Seconds until its lease ends.
    lease_left: float
    #: What it says of its work, such as `trouble`.
    news: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows are kept."""

    short: int = 7 * DAY
    long: int = 30 * DAY
    rows: int = 1000


def spec_of(run: NewRun, keeping: Keeping) -> dict[str, Any]:
    """A run as the scripts plan it (planning.lua): what stands at its default is left out."""
    row: dict[str, Any] = {
        "task": run.task, "message": run.message, "list": run.list, "queue": run.queue, "lock": run.lock,
        "overlap": run.overlap, "limit": run.limit, "deadline": run.deadline, "hook": int(run.hook),
        "linked": int(run.linked), "unguarded": int(run.unguarded), "meta_key": run.meta_key,
        "release": run.release, "backfill": int(run.backfill), "late": run.late, "pause_after": run.pause_after,
        "ping": run.ping, "stands_for": run.stands_for,
        "keep_short": keeping.short, "keep_long": keeping.long, "keep_rows": keeping.rows,
    }  # fmt: skip
    row = {name: str(value) for name, value in row.items() if value not in ("", 0)}
    if run.schedule:
        row |= {"schedule": run.schedule, "tick": str(run.tick)}
    spec: dict[str, Any] = {"id": run.run_id, "row": row, "due": run.due, "digest": run.digest}
    if run.unique_for:
        spec |= {"unique": f"{run.task}:{run.digest}", "unique_for": str(run.unique_for)}
    if run.delay is not None:
        spec["delay"] = run.delay
    if run.ends:
        spec |= {"ends": run.ends, "reason": run.reason}
    if run.wire:
        spec["wire"] = run.wire
    if run.told:
        spec |= {"channel": run.told.channel, "told": run.told.text}
    return spec


def read_planned(answer: Sequence[str]) -> Planned:
    """A plan's answer, as the script gives it."""
    run_id, what, state, reason = answer
    return Planned(run_id, what == "planned", state, reason)


def read_ring(answer: Sequence[Any]) -> Ring:
    """What to ring, as the script gives it."""
    if not answer:
        return Ring(0)
    stamp, *flat = answer
    return Ring(int(stamp), tuple(zip(flat[::2], flat[1::2], strict=True)))
