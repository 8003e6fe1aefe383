"""One run of everything that is due: each event written down, run in a process of its own, and looked at afterwards.

Limit: an event's hook runs again only where it is declared repeatable; any other that was lost is reported, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from celery_anp.errors import LostOwnership
from worker.site.wordpress import lost, publishing, register
from worker.site.wordpress.cron import Event
from worker.site.wordpress.due import LEFT_TO_PUBLISHER, PUBLISHES, published, scheduled
from worker.site.wordpress.ran import Ran, Trouble
from worker.site.wordpress.register import Row
from worker.site.wordpress.site import Held, Site, SiteUnavailable
from worker.site.wordpress.way import Told, Way

#: WordPress' own hooks that may run twice: each looks first at what is to be done.
REPEATABLE = frozenset({
    PUBLISHES, "do_pings", "wp_version_check", "wp_update_plugins", "wp_update_themes", "wp_scheduled_delete",
    "wp_scheduled_auto_draft_delete", "delete_expired_transients", "wp_privacy_delete_old_export_files",
    "wp_site_health_scheduled_check", "wp_https_detection", "wp_update_user_counts",
    "wp_delete_temp_updater_backups", "recovery_mode_clean_expired_keys",
})  # fmt: skip


@dataclass(frozen=True)
class Orders:
    """How a run is to be done."""

    #: The run's id, its fence, and the name under which the fence is kept.
    run: str
    fenced: tuple[str, int | None]
    #: Called with each event before it runs: the ledger's note.
    record: Callable[[Event], None]
    #: Asked again and again; True ends the run early.
    stop: Callable[[], bool]
    #: Hooks that may run twice, beside WordPress' own.
    repeatable: frozenset[str] = frozenset()
    #: Events in one run, at most.
    most: int = 200
    #: Seconds for one event.
    limit: int = 60
    #: Seconds after which no further event is begun.
    budget: float = 240.0


def run(site: Site, way: Way, orders: Orders) -> Ran:
    """Run what is due.

    Raises:
        SiteUnavailable: the database does not answer, or WordPress' code does not come to its work.
        CorruptCron: the cron option cannot be read.
        LostOwnership: a later attempt has begun.
    """
    with site.locked("events") as held:
        if held is None:
            found = Ran(busy="another run of anp holds the lock of this site's events")
        else:
            found = _Round(site, way, orders, held).all()
    now = time.time()
    waiting = [event for event in scheduled(site, way) if event.due <= now]
    return found.model_copy(update={"overdue": round(now - waiting[0].due, 1) if waiting else 0.0})


@dataclass
class _Round:
    site: Site
    way: Way
    orders: Orders
    held: Held
    found: Ran = field(default_factory=Ran)
    #: Lost ones that may run again.
    again: list[Row] = field(default_factory=list)
    done: list[Row] = field(default_factory=list)
    #: A value of WordPress' own lock whose process is dead.
    orphan: str = ""

    def all(self) -> Ran:
        ends = time.monotonic() + self.orders.budget
        due = self._due(self._settle_earlier())
        for place, event in enumerate(due):
            if place >= self.orders.most or time.monotonic() > ends or self.orders.stop() or self.found.busy:
                self.found.left += len(due) - place
                break
            self._run(event)
        for row in list(self.again):
            if not (self.found.busy or self.orders.stop()):
                self._run_again(row)
        register.prune(self.site)
        self._clear_pages()
        return self.found

    def _settle_earlier(self) -> list[Event]:
        """What earlier runs left without an end. Returns the events of now."""
        rows = register.unended(self.site)
        events = scheduled(self.site, self.way)
        waiting = {event.key for event in events}
        for row in rows:
            if row.state == "planned":
                self._planned_earlier(row, row.key in waiting)
            elif lost.may_run(self.site, row):
                self.found.running.append(row.hook)
            else:
                self._died(row, "its process died", row.key in waiting)
        return events

    def _planned_earlier(self, row: Row, waiting: bool) -> None:
        if row.attempts and not waiting:
            self.again.append(row)
        elif not waiting:
            register.mark(self.site, row.key, "gone", "it left the cron option before it was begun")

    def _due(self, events: list[Event]) -> list[Event]:
        now = time.time()
        begun = {row.key for row in register.unended(self.site) if row.state == "begun"}
        own = [event for event in events if event.key not in begun]
        return [event for event in own if event.due <= now - (LEFT_TO_PUBLISHER if event.hook == PUBLISHES else 0)]

    def _run(self, event: Event) -> None:
        self.held.check()
        self.orders.record(event)
        orders = self.orders
        register.plan(self.site, event, run=orders.run, fenced=orders.fenced, limit=orders.limit)
        self._judge(event.key, self._ask(event.key, again=False), again=False)

    def _run_again(self, row: Row) -> None:
        self.held.check()
        orders = self.orders
        register.plan_again(self.site, row, run=orders.run, fenced=orders.fenced, limit=orders.limit)
        self._judge(row.key, self._ask(row.key, again=True), again=True)

    def _ask(self, key: str, *, again: bool) -> Told:
        name, number = self.orders.fenced
        job = {"do": "event", "event": key, "again": again, "fence": number, "fence_name": name, "orphan": self.orphan}
        return self.way.ask(job, limit=self.orders.limit, stop=self.orders.stop)

    def _judge(self, key: str, told: Told, *, again: bool) -> None:
        """What the register says counts, whatever was answered."""
        row = register.look(self.site, key)
        if row is None or row.state == "planned":
            self._never_began(told)
        elif row.state == "done":
            self.found.ran += 1
            self.found.again += again
            self.done.append(row)
        elif row.state == "gone":
            self.found.elsewhere += 1
        elif row.state == "failed":
            self._failed(row, row.note, lost_for_good=False)
        elif told.ended:
            self._died(
                row, told.why or "its process died", key in {event.key for event in scheduled(self.site, self.way)}
            )
        else:
            self.found.running.append(row.hook)

    def _never_began(self, told: Told) -> None:
        if told.state == "busy":
            self.found.busy = told.why
            self.found.left += 1
        elif told.state == "refused" and "later attempt" in told.why:
            raise LostOwnership("An event was not begun", expected="the latest attempt", given=told.why)
        else:
            raise SiteUnavailable(
                "WordPress' code did not come to its work; the events stay due",
                expected="a WordPress that loads, with its database",
                given=told.why or told.state,
            )

    def _died(self, row: Row, why: str, waiting: bool) -> None:
        self.orphan = row.wp_lock
        if waiting:  # it died before the event was taken out of the option: nothing was run
            register.mark(self.site, row.key, "planned", why)
            self.found.left += 1
        else:
            self._failed(row, why, lost_for_good=True)

    def _failed(self, row: Row, why: str, *, lost_for_good: bool) -> None:
        decided = lost.decide(row, self.orders.repeatable | REPEATABLE)
        trouble = Trouble(hook=row.hook, due=row.due, why=f"{why}; {decided.why}")
        if decided.again and row.key not in {one.key for one in self.again}:
            register.mark(self.site, row.key, "planned", why)
            self.again.append(row)
        elif decided.again:  # once in a run
            register.mark(self.site, row.key, "planned", why)
            self.found.failed.append(trouble)
        elif lost_for_good and not row.recurrence:
            register.mark(self.site, row.key, "lost", trouble.why)
            self.found.lost.append(trouble)
        else:
            register.mark(self.site, row.key, "failed", trouble.why)
            self.found.failed.append(trouble)

    def _clear_pages(self) -> None:
        if ids := published(self.done):
            publishing.note(self.site, ids)
            publishing.clear(self.site)
