"""The row of a run: every field of the hash `run:<id>`. A test compares this with the scripts and with the code.

A field that stands at its default is left out of the hash. All of it is text; `read` gives it its type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: text; number: a whole one; time: ms since the epoch by Redis' clock; span: ms; flag: 1, or 0; json: JSON text.
Kind = Literal["text", "number", "time", "span", "flag", "json"]

#: Who writes what stands from the beginning: `records.spec_of`, whose fields planning.lua writes down.
SPEC = "spec_of"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row."""

    name: str
    kind: Kind
    meaning: str
    #: `spec_of`, or files of the scripts.
    writers: tuple[str, ...]
    #: What it is where the row has not got it.
    default: str | int | bool | None = None

    def read(self, text: str | None) -> Any:
        """Its value: a string, an integer (also for times and spans), a truth, or what its JSON holds."""
        if not text:
            return self.default
        if self.kind == "text":
            return text
        if self.kind == "flag":
            return text == "1"
        return json.loads(text) if self.kind == "json" else int(text)


FIELDS = (
    # -- what it is: fixed when it is planned
    Field("task", "text", "name of its task", (SPEC, "planning"), ""),
    Field("message", "text", "its whole message as the broker's list holds it, with a place for the stamp",
          (SPEC, "amend", "settle"), ""),
    Field("seal", "text", "digest of that message: begin hands it out to who came with another",
          (SPEC, "amend", "settle"), ""),
    Field("list", "text", "the broker's list that its message goes to", (SPEC,), ""),
    Field("queue", "text", "name of its queue", (SPEC,), ""),
    Field("by_kombu", "flag", "its queue is no plain list: only kombu can send its message", (SPEC, "planning"), False),
    Field("digest", "text", "of its input: the same idempotency key with another one is a conflict", ("planning",), ""),
    Field("release", "text", "of who planned it", (SPEC,)),
    Field("created", "time", "when it was planned", ("planning",)),
    Field("wanted", "time", "when it should begin: lateness counts from it", ("planning",)),
    Field("deadline", "time", "later than this it does not begin any more; 0 for never",
          (SPEC, "operate", "planning"), 0),
    Field("hook", "flag", "its task has a rollback hook", (SPEC, "planning"), False),
    Field("unguarded", "flag", "its task is not guarded: it ends as sent once its message is out", (SPEC,), False),
    Field("linked", "flag", "links follow it: callbacks, errbacks, a chain, a chord", (SPEC, "planning", "settle"),
          False),
    Field("meta_key", "text", "key of Celery's record of it; empty where no result is kept", (SPEC,), ""),
    Field("by_backend", "flag", "only Celery's backend writes a record that no worker made", (SPEC, "settle"), False),
    Field("keep_short", "span", "how long it is kept once it has succeeded, was skipped or sent", (SPEC,), 0),
    Field("keep_long", "span", "how long it is kept once it has ended otherwise", (SPEC,), 0),
    Field("keep_rows", "number", "rows that its schedule keeps", (SPEC,), 0),
    # -- of its schedule
    Field("schedule", "text", "its schedule's name, if a tick made it", (SPEC,)),
    Field("tick", "time", "its tick", (SPEC,)),
    Field("backfill", "flag", "it makes up for a tick of the past", (SPEC,), False),
    Field("late", "time", "by when its schedule must have succeeded; 0 for no such promise", (SPEC,), 0),
    Field("pause_after", "number", "failures in a row that pause its schedule; 0 for never", (SPEC,), 0),
    Field("ping", "text", "URL that is pinged when it starts and ends", (SPEC,), ""),
    Field("stands_for", "text", "schedule that an operator runs by hand with it", (SPEC,), ""),
    # -- its lock
    Field("lock", "text", "the lock it takes", (SPEC, "planning")),
    Field("overlap", "text", "what it does where the lock is taken", (SPEC, "operate", "planning"), ""),
    Field("limit", "number", "with buffer_all: runs that may wait for the lock", (SPEC, "operate", "planning"), 0),
    # -- where it stands
    Field("state", "text", "its state", ("base",), ""),
    Field("reason", "text", "why it has that state", ("base",), ""),
    Field("history", "text", "a line for each change: time (ms)|from|to|node|reason", ("base",), ""),
    Field("at", "text", "the index it is in: queue, time, lock, node, or none", ("begin", "index", "planning"), ""),
    Field("replacement", "text", "what its body put in its place, JSON; while the row waits to go on as that",
          ("index", "settle"), ""),
    Field("due", "time", "when it becomes due, last time it waited for one", ("index",)),
    Field("rings", "number", "how often upkeep has rung since it was queued", ("index", "park", "ring"), 0),
    Field("rung", "time", "when it was rung last; 0 to ring it at once", ("index", "nudge", "park", "ring"), 0),
    Field("finished", "time", "when it ended", ("ending", "keeping")),
    Field("keep", "span", "how long it, or Celery's record of it, is kept from its end on", ("ending",), 0),
    # -- its attempts
    Field("attempts", "number", "attempts that have begun, rollbacks too", ("begin", "planning"), 0),
    Field("fence", "number", "fence of the newest one", ("begin",)),
    Field("node", "text", "node that holds it", ("begin", "nodes", "settle")),
    Field("token", "text", "of the delivery that began it: a replay gets the first answer",
          ("begin", "nodes", "settle"), ""),
    Field("began", "time", "when its first attempt began", ("begin",)),
    Field("started", "time", "when its newest attempt began", ("begin",)),
    Field("runtime", "span", "how long its last attempt took", ("settle",)),
    Field("settled", "text", '"<fence>|<node>" of the last settled attempt: a replay gets the same answer',
          ("operate", "planning", "settle"), ""),
    Field("answer", "text", "that answer: the state after it", ("settle",), ""),
    Field("failures", "number", "attempts that failed and were tried again", ("operate", "planning", "settle"), 0),
    Field("requeues", "number", "how often its body had itself put back", ("operate", "settle"), 0),
    Field("rollback_failures", "number", "the same for its rollback", ("ending", "operate", "settle"), 0),
    Field("losses", "number", "attempts that were lost, all together", ("nodes",), 0),
    Field("loss_points", "number", "what its losses weigh: too much is quarantine",
          ("nodes", "operate", "planning"), 0),
    Field("rollback_losses", "number", "the same for its rollback", ("ending", "nodes", "operate"), 0),
    Field("undo_bytes", "number", "bytes of undo entries that this attempt has recorded", ("begin", "record"), 0),
    Field("progress", "text", '"<done>/<total>" as its body told it', ("record", "settle")),
    # -- how it ended
    Field("result", "json", "what its body returned", ("settle",)),
    Field("partial", "flag", "that is only its beginning, or words: it is too large for a row, or no JSON",
          ("operate", "settle"), False),
    Field("as_expected", "flag", "whether its expected result was met; unknown without the field",
          ("give_up", "operate", "planning", "settle")),
    Field("error", "json", "what its body raised", ("give_up", "operate", "planning", "settle")),
    Field("failed_as", "text", "what it was before its rollback: failed, cancelled, quarantined, succeeded",
          ("ending", "operate", "planning"), ""),
    Field("failed_why", "text", "the reason of that", ("ending", "operate"), ""),
    Field("undone", "flag", "its newest rollback has undone an entry", ("ending", "operate", "record"), False),
    Field("ended", "flag", "Celery was told that it has ended", ("ending", "give_up", "operate", "planning"), False),
    Field("counted", "flag", "its failure is among those of its schedule", ("alarms", "operate"), False),
    # -- what operators asked
    Field("cancel", "text", "why it shall end early", ("ending", "keeping", "lock"), ""),
    Field("asked", "text", '"<token>=<answer>;" of requests, so that a replay has no effect', ("operate",), ""),
)  # fmt: skip
ROW = {field.name: field for field in FIELDS}


def read(row: Mapping[str, str], name: str) -> Any:
    """One field of a row as Python sees it; its default where the row has not got it."""
    return ROW[name].read(row.get(name))
