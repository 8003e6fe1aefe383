"""What Prometheus is told: read from the ledger at each scrape, so that it holds whoever died, whichever event is lost.

Limit: counters begin anew when the ledger is emptied, and a scrape sees what ended since the last one, not each run.
Needs only a Redis user that may read.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from celery_anp.errors import AnpError, BadSetting
from celery_anp.reliability import nodes
from celery_anp.reliability.keyspace import LATE
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.live import Live
from celery_anp.reliability.nodes import Node
from celery_anp.reliability.overrides import ITSELF, Overrides
from celery_anp.reliability.run import FINAL, moment
from celery_anp.reliability.unreadable import Unreadable

log = logging.getLogger(__name__)
Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily | SummaryMetricFamily
#: Final states that are not of every task: they are shown once they have happened.
RARE = frozenset({"sent"})


class LedgerCollector(Collector):
    """Turns the ledger into metrics.

    Args:
        ledger: may be one whose user only reads.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def collect(self) -> Iterator[Family]:
        """All of it; only `anp_ledger_up 0` while the ledger does not answer."""
        try:
            families = list(self._families())
        except AnpError as error:
            log.warning("no metrics but this one, the ledger cannot be read: %s", error)
            families = []
        yield GaugeMetricFamily("anp_ledger_up", "Whether the ledger could be read.", int(bool(families)))
        yield from families

    def _families(self) -> Iterator[Family]:
        now = self.ledger.now()
        alive = self.ledger.nodes()
        tasks = {name for node in alive if node.kind == "worker" for name in node.tasks}
        yield from self._memory()
        yield from self._nodes(alive, now)
        yield from self._ended(tasks)
        yield from self._work()
        yield from self._waiting()
        yield from self._unserved(alive)
        yield from self._schedules(now)
        yield from self._release()
        yield from self._messages()
        yield from self._alerts()

    def _memory(self) -> Iterator[Family]:
        memory = self.ledger.memory()
        yield GaugeMetricFamily("anp_ledger_memory_bytes", "Memory that the ledger's Redis uses.", memory.used)
        yield GaugeMetricFamily("anp_ledger_memory_limit_bytes", "Its limit; 0 for none.", memory.limit)
        yield GaugeMetricFamily("anp_ledger_full", "Whether planning is refused for want of memory.", int(memory.full))
        kept = self.ledger.store.read("zcard", self.ledger.store.key("runs"))
        yield GaugeMetricFamily("anp_ledger_rows", "Runs that the ledger has a row of.", kept)
        yield CounterMetricFamily(
            "anp_ledger_rows_dropped", "Finished runs dropped before their time for want of memory.", memory.dropped
        )

    def _unserved(self, alive: Sequence[Node]) -> Iterator[Family]:
        family = GaugeMetricFamily(
            "anp_queue_unserved_runs", "Runs that wait on a queue that no living worker serves.", labels=("queue",)
        )
        for one in nodes.unserved(self.ledger.store, alive):
            family.add_metric((one.queue,), one.runs)
        yield family

    def _nodes(self, alive: Sequence[Node], now: int) -> Iterator[Family]:
        living: dict[tuple[str, str], int] = defaultdict(int)
        troubled, undecided = 0, 0.0
        for node in alive:
            living[node.kind, node.release] += 1
            troubled += bool(node.news.get("trouble") or node.news.get("idle"))
            undecided = max(undecided, (now - int(node.news.get("next") or now)) / 1000)
        family = GaugeMetricFamily("anp_nodes", "Nodes with a living lease.", labels=("kind", "release"))
        for kind in ("worker", "beat"):
            if not any(of == kind for of, _ in living):
                family.add_metric((kind, ""), 0)
        for labels, count in sorted(living.items()):
            family.add_metric(labels, count)
        yield family
        yield GaugeMetricFamily("anp_nodes_troubled", "Living nodes that say what is wrong with them.", troubled)
        yield GaugeMetricFamily("anp_tick_undecided_seconds", "For how long a due tick is not decided.", undecided)

    def _ended(self, tasks: set[str]) -> Iterator[Family]:
        """Zero where it never happened: Prometheus sees no increase in a series that begins at one."""
        counts = self.ledger.counts()
        known = {(task, state) for task in tasks | {task for task, _ in counts} for state in FINAL - RARE}
        family = CounterMetricFamily("anp_runs_ended", "Runs by how they ended.", labels=("task", "state"))
        for key in sorted(known | counts.keys()):
            family.add_metric(key, counts.get(key, 0))
        yield family

    def _work(self) -> Iterator[Family]:
        sums = self.ledger.sums()
        retries = CounterMetricFamily("anp_run_retries", "Attempts that failed and were tried again.", labels=("task",))
        losses = CounterMetricFamily("anp_run_losses", "Attempts whose worker died or left.", labels=("task",))
        late = HistogramMetricFamily(
            "anp_run_lateness_seconds", "From due to the begin of the first attempt.", labels=("task",)
        )
        took = SummaryMetricFamily("anp_run_seconds", "Length of the last attempts of ended runs.", labels=("task",))
        for task, of in sorted(sums.items()):
            retries.add_metric((task,), of.get("retries", 0))
            losses.add_metric((task,), of.get("losses", 0))
            late.add_metric((task,), _buckets(of), of.get("late_ms", 0) / 1000)
            took.add_metric((task,), of.get("ran", 0), of.get("run_ms", 0) / 1000)
        yield from (retries, losses, late, took)

    def _waiting(self) -> Iterator[Family]:
        family = GaugeMetricFamily("anp_runs", "Runs that are not final, and parked ones.", labels=("state",))
        for state, count in self.ledger.unfinished().items():
            family.add_metric((state,), count)
        yield family
        yield GaugeMetricFamily("anp_locks_held", "Locks that a run holds.", len(self.ledger.locks()))

    def _schedules(self, now: int) -> Iterator[Family]:
        live = Live(self.ledger.store)
        yield GaugeMetricFamily("anp_schedules", "Schedules that are live.", len(live.declared()))
        late = GaugeMetricFamily(
            "anp_schedule_late_seconds", "How long ago a late schedule should have succeeded.", labels=("schedule",)
        )
        for name, by in sorted(self.ledger.late().items()):
            late.add_metric((name,), max(0.0, (now - by) / 1000))
        yield late
        stopped = GaugeMetricFamily(
            "anp_schedule_stopped",
            "Schedules that an override holds: an operator's, or anp's own.",
            labels=("schedule", "by"),
        )
        at = moment(now)
        for name, override in sorted(Overrides(self.ledger.store).all().items()):
            if at and override.in_force(at):
                stopped.add_metric((name, "anp" if override.by == ITSELF else "operator"), 1)
        yield stopped

    def _release(self) -> Iterator[Family]:
        current = Live(self.ledger.store).current()
        family = GaugeMetricFamily(
            "anp_release_generation",
            "Number of the generation of schedules that is live.",
            labels=("release", "digest"),
        )
        if current is not None:
            family.add_metric((current.release, current.digest), current.number)
        yield family

    def _messages(self) -> Iterator[Family]:
        unreadable = Unreadable(self.ledger.store)
        yield CounterMetricFamily("anp_messages_unreadable", "Messages that no worker could read.", unreadable.ever())
        yield GaugeMetricFamily("anp_messages_set_aside", "Those of them that are kept for a look.", unreadable.kept())

    def _alerts(self) -> Iterator[Family]:
        waiting = self.ledger.store.read("zcard", self.ledger.store.key("outbox:alert"))
        dropped = self.ledger.store.read("hget", self.ledger.store.key("outbox:counts"), "dropped")
        yield GaugeMetricFamily("anp_alerts_waiting", "Alerts that are not sent yet.", waiting)
        yield CounterMetricFamily("anp_alerts_dropped", "Alerts and pings that could not be sent.", int(dropped or 0))


def _buckets(of: dict[str, int]) -> list[tuple[str, float]]:
    """Prometheus' buckets hold everything below their upper end."""
    total, found = 0, []
    for most in LATE:
        total += of.get(f"late:{most}", 0)
        found.append((f"{most / 1000:g}", float(total)))
    return [*found, ("+Inf", float(total + of.get("late:inf", 0)))]


def serve(ledger: Ledger, address: str, port: int) -> None:
    """Answer scrapes until SIGTERM or SIGINT.

    Args:
        ledger: to read from.
        address: to listen on; there is no password, so never one that others reach.
        port: TCP port.

    Raises:
        BadSetting: the port is in use, or the address is not ours.
    """
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise BadSetting(
            "The metrics cannot be served there",
            expected="a free port (--port)",
            given=f"{address}:{port}: {error.strerror}",
        ) from None
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.shutdown()
    with suppress(RuntimeError):
        thread.join(timeout=5)
