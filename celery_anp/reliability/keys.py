"""Every key of the ledger: what it is, and who writes it. A test compares this with the scripts and with the code.

Each name is behind the prefix, `anp:ledger:` unless set otherwise. A row that is not final is in exactly one index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "hash", "list", "zset"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or a family of keys whose names go on with what stands in `<…>`."""

    name: str
    kind: Kind
    meaning: str
    #: The files of the scripts, or the calls, that write it. That keeping.lua drops what belongs to a row goes without.
    writers: tuple[str, ...]

    @property
    def short(self) -> str:
        """What is fixed of its name; where it goes on, with a `<`."""
        start, goes_on, _ = self.name.partition("<")
        return start + goes_on


KEYS = (
    # -- rows
    Key("run:<id>", "hash", "one run: its row; row.py has its fields", ("base",)),
    Key("undo:<id>", "list", "its undo entries, JSON, oldest first", ("record",)),
    Key("steps:<id>", "hash", "its finished steps: name to JSON result", ("operate", "record", "settle")),
    Key("runs", "zset", "id to time (ms) it was planned; every row that is kept", ("keeping", "planning")),
    Key("schedule:<name>", "zset", "id to tick (ms): the rows of one schedule", ("keeping", "planning", "prune")),
    Key("ended:<task>", "zset", "id to time (ms) it ended: ended rows of one task that no tick made and no key keeps",
        ("ending", "keeping")),
    Key("results", "zset", "a record of Celery's to time (ms) it goes away: its row was in the way and is gone",
        ("keeping", "make_room", "planning", "prune")),
    Key("expiring", "zset", "id to time (ms) its row goes away", ("ending", "keeping", "planning")),
    Key("unique:<task>:<digest>", "string", "the run that calls with this input get, while it lives", ("planning",)),
    Key("links", "zset", "id to time (ms): runs whose next links, record or replacement nobody has confirmed",
        ("ending", "index", "links", "settle")),
    Key("fence", "string", "the last fence given out", ("begin",)),
    Key("unreadable", "zset", "JSON { number, at, list, reason, bytes, text } of a message that no worker can read, by "
        "its number", ("aside",)),
    Key("unreadable:counts", "hash", "ever (how many there were), last (time, ms, of the newest)", ("aside",)),
    # -- where a row waits
    Key("queued", "zset", "index `queue`: id to time (ms) from which upkeep may ring again",
        ("index", "nudge", "park", "ring")),
    Key("waiting", "hash", "queue to how many rows of `queued` wait on it", ("index", "unserved")),
    Key("unserved", "hash", "queue on which rows wait and that no living worker serves, to time (ms) since when; once "
        "it was told `|told` behind it", ("unserved",)),
    Key("delayed", "zset", "index `time`: id to time (ms) it becomes due", ("index", "promote")),
    Key("blocked", "zset", "index `lock`: id to time (ms) it began to wait", ("index", "promote")),
    Key("running:<node>", "hash", 'index `node`: id to "<fence>|<child>"', ("begin", "goodbye", "index", "reap")),
    Key("locks", "hash", "lock to the run that holds it", ("ending", "lock", "promote")),
    Key("waiters:<lock>", "zset", "id to its number of arrival", ("index",)),
    Key("arrivals", "string", "the last number of arrival given out, over all locks", ("index",)),
    Key("parked", "zset", "id to time (ms) it was parked; its row is final", ("ending", "promote")),
    # -- nodes
    Key("nodes", "zset", "node to end of its lease (ms)", ("heartbeat", "nodes")),
    Key("node:<node>", "hash", "what a node says of itself; dead = 1 once it was reaped",
        ("heartbeat", "nodes", "reap")),
    Key("host:<host>", "hash", "node to where it lives on that host (process/place.py), so that its death can be seen "
        "there", ("heartbeat", "nodes")),
    Key("pulse", "string", "time (ms) of the last heartbeat or reap", ("nodes",)),
    # -- figures
    Key("counts", "hash", '"<task>|<state>" to how often a run ended so', ("ending",)),
    Key("sums", "hash", '"<task>|<what>" to a sum for metrics: late:<bucket> (first attempts that began so late), '
        "late_ms, ran and run_ms (ended runs that had begun, how long their last attempt took), retries, losses",
        ("base",)),
    Key("full", "string", "set while Redis is near its memory limit", ("memory",)),
    Key("memory", "hash", "dropped (rows, for room), dropped_at, told_dropped and told_full (ms)", ("memory",)),
    Key("health", "string", "what `anp health redis` writes, to see that it can", ("_redis",)),
    # -- schedules
    Key("cursors", "hash", 'schedule to "<last decided tick, ms>|<timing>"', ("publish", "rename", "tick")),
    Key("hands", "hash", "schedule to JSON { kind, by, note, since, until }: paused or disabled by an operator",
        ("alarms", "hand", "prune", "rename")),
    Key("hands:<name>", "list", "JSON { at, what, by, note, … }: what was done to a schedule, the newest first",
        ("base", "prune", "rename")),
    Key("removed", "zset", "schedule to time (ms) since when it is not declared any more", ("prune", "publish")),
    Key("backfills", "hash", "schedule to JSON { id, reached, to, rate, … }: ticks of the past that still get a run",
        ("backfill", "order", "publish", "rename")),
    Key("generation", "hash", "number, digest, release, app and time of the schedules that are live",
        ("adopt", "take_over")),
    Key("releases", "zset", "release to the generation it raised", ("adopt",)),
    Key("retired", "hash", '"<digest>|<release>" of a beat that is not live to time (ms) it first asked, or `told`; '
        '"app|<app>" of another app that was refused', ("adopt", "take_over")),
    Key("live", "hash", "schedule to JSON: how each live schedule is declared", ("publish", "rename")),
    Key("reload", "string", "how often operators have asked beats to read their files again", ("Live.ask_for_reload",)),
    # -- what schedules promise, and who is told
    Key("watch", "zset", "schedule to time (ms) by which it must have succeeded",
        ("alarms", "late", "publish", "rename", "tick")),
    Key("expected", "hash", "schedule to the same for its next tick, which is not decided yet",
        ("publish", "rename", "tick")),
    Key("late", "hash", "schedule to time (ms) by which it should have succeeded, while it is late",
        ("alarms", "late", "publish", "rename", "tick")),
    Key("failing", "hash", "schedule to how many of its runs failed in a row", ("alarms", "publish", "rename")),
    Key("outbox:<lane>", "zset", "id to time (ms) to send it; the lanes are `alert` and `ping`, so that a receiver of "
        "pings that hangs holds up no alert", ("alarms", "outbox")),
    Key("outbox:items", "hash", "id to JSON of it", ("alarms", "outbox")),
    Key("outbox:runs", "hash", "run to how many of those are of it", ("alarms", "outbox")),
    Key("outbox:counts", "hash", "last (id given), minute and raised (alerts in it), more (only counted), dropped",
        ("alarms", "late", "outbox")),
)  # fmt: skip
#: Keys that are not behind the prefix: Celery's and the broker's, named by a field of the row.
FOREIGN = (
    Key("row.list", "list", "the broker's list that the messages of a run go to", ("cancel", "sending")),
    Key("row.meta_key", "string", "Celery's record of how a run ended; told on a channel of this name too",
        ("results",)),
)  # fmt: skip
