"""Which schedules are live: the generation, how each is declared, and what beats are asked for.

A release that is seen for the first time raises the generation; a beat of an earlier one plans nothing from then on.
Limit: it compares what was declared, not the code of the tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from celery_anp.errors import OtherApp
from celery_anp.reliability.keyspace import Keyspace
from celery_anp.reliability.overrides import Backfill, read_backfills

#: Schedules written by one script call.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to who is live."""

    #: `current`: we are; `taken`: we are from now on; `retired`: others are; `foreign`: those of another app.
    word: Literal["current", "taken", "retired", "foreign"]
    number: int
    digest: str
    release: str
    #: Whose they are, and how many.
    app: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a beat looks at each second."""

    #: Of the schedules that are live; empty if none are.
    digest: str
    #: How often operators have asked for the files to be read again.
    reloads: int
    backfills: Mapping[str, Backfill]


class Live:
    """Reads and sets what is live.

    Args:
        store: the ledger's store.
    """

    def __init__(self, store: Keyspace) -> None:
        self.store = store

    def adopt(self, digest: str, release: str, *, fresh: bool, app: str = "") -> Generation:
        """Ask to be live.

        Args:
            digest: of our schedules.
            release: ours; empty in development.
            fresh: they were just read, and replace others of the same release.
            app: whose they are; empty is not compared.

        Returns:
            Who is live now.
        """
        word, number, live, of, owner, count = self.store.call("adopt", digest, release, int(fresh), app)
        return Generation(word, int(number), live, of, owner, int(count))

    def refuse_other(self, app: str) -> None:
        """Refuse an app where another one's schedules are live.

        Raises:
            OtherApp: they are; says whose, and what to do.
        """
        found = self.adopt("", "", fresh=False, app=app)
        if found.word == "foreign":
            raise other_app(app, found, self.store.prefix)

    def take_over(self, app: str) -> str:
        """From now on an app owns the schedules; those of another one end. Returns who owned them, or empty."""
        return str(self.store.call("take_over", app))

    def current(self) -> Generation | None:
        """Who is live, or None."""
        held = self.store.read("hgetall", self.store.key("generation"))
        if "digest" not in held:  # none, or an app has just taken over
            return None
        return Generation("current", int(held["number"]), held["digest"], held["release"], held.get("app", ""))

    def declared(self) -> dict[str, str]:
        """By schedule how it is declared, JSON."""
        return dict(self.store.read("hgetall", self.store.key("live")))

    def publish(self, digest: str, by: str, changes: Iterable[tuple[str, str, str]]) -> bool:
        """Write how schedules are declared.

        Args:
            digest: of our schedules.
            by: whose doing it is.
            changes: name, declaration as JSON (empty for one that is gone), and words for its history.

        Returns:
            False if others are live, and the rest was not written.
        """
        waiting = list(changes)
        for start in range(0, len(waiting), BATCH):
            batch = [text for change in waiting[start : start + BATCH] for text in change]
            if not self.store.call("publish", digest, by, *batch):
                return False
        return True

    def rename(self, new: str, old: str) -> bool:
        """Carry a schedule's cursor, override and history over to its new name; False if done, or it cannot be."""
        return bool(self.store.call("rename", new, old))

    def last_run(self, schedule: str) -> str:
        """The id of the newest tick that the ledger has a row of, or empty."""
        found = self.store.read("zrevrange", self.store.key(f"schedule:{schedule}"), 0, 0)
        return str(found[0]) if found else ""

    def ask_for_reload(self) -> int:
        """Ask every beat to read its files again; returns the number of this request."""
        return int(self.store.read("incr", self.store.key("reload")))

    def wishes(self) -> Wishes:
        """What a beat looks at each second, in one round trip.

        Raises:
            LedgerUnavailable: Redis did not answer.
        """
        digest, reloads, backfills = self.store.several(
            [
                ("hget", self.store.key("generation"), "digest"),
                ("get", self.store.key("reload")),
                ("hgetall", self.store.key("backfills")),
            ]
        )
        return Wishes(digest or "", int(reloads or 0), read_backfills(backfills))


def other_app(app: str, found: Generation, prefix: str) -> OtherApp:
    """The error for an app that shares the ledger of another one.

    Args:
        app: the one that is refused.
        found: what is live.
        prefix: of the ledger's keys.
    """
    prefix = prefix.partition(":")[0]
    return OtherApp(
        f"The ledger under the prefix {prefix!r} is that of the app {found.app!r}, so the app {app!r} is refused",
        expected=f"ANP_PREFIX, another one than {prefix!r}, for each process and command of {app!r}, and queues or a "
        f"database of its own; or, if {app!r} takes the place of {found.app!r} for good, "
        "`anp schedules reload --take-over`",
        given=f"{found.count} live schedules of {found.app!r}, which stay as they are",
    )
