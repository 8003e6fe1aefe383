"""What a finished run leaves in Redis, Celery's result included."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.ledger import begun, planned, register, rows, settled
from tests.bench.place import Place
from tests.bench.table import Line

PER = 100_000


def lines(place: Place) -> list[Line]:
    """Megabytes for 100,000 finished no-op runs, and bytes for one."""
    count = place.either(5_000, 20_000)
    ours = _grown(place, lambda: _ours(count)) / count
    theirs = _grown(place, lambda: _theirs(count)) / count
    place.clear()
    return [
        Line("memory of 100,000 finished runs", ours * PER / 2**20, theirs * PER / 2**20, "MiB", better="smaller"),
        Line("memory of one finished run", ours, theirs, "bytes", better="smaller"),
    ]


def _grown(place: Place, work: Callable[[], object]) -> float:
    place.clear()
    before = _used(place)
    work()
    return _used(place) - before


def _used(place: Place) -> float:
    memory = place.redis.info("memory")
    return float(memory["used_memory"] - memory["mem_clients_normal"] - memory["mem_aof_buffer"])


def _ours(count: int) -> None:
    from tests.bench.noop import noop

    register(noop.ledger)
    for new in planned(noop.ledger, rows(noop, count)):
        settled(noop.ledger, noop.backend, new.run_id, begun(noop.ledger, new.run_id).fence)


def _theirs(count: int) -> None:
    from tests.bench.plain import noop

    for new in range(count):
        noop.backend.store_result(f"{new:036d}", 1, "SUCCESS")
