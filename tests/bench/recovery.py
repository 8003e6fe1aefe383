"""How soon a run starts again after its worker was killed with -9."""

from __future__ import annotations

import time
from functools import partial

from tests.bench.place import LEASE, Place
from tests.bench.rounds import middle
from tests.bench.table import Line
from tests.support.eventually import eventually
from tests.support.stack import Process, Stack

#: At most the lease and two seconds.
TARGET = (LEASE + 2) / LEASE


def lines(place: Place) -> list[Line]:
    """Leases between the kill and the next attempt; plain Celery's message comes again after an hour."""
    from tests.support.probe import probe

    found = []
    for turn in range(place.either(3, 7)):
        place.clear()
        folder = place.folder / f"recovery{turn}"
        folder.mkdir()
        with Stack(folder, place.server.url) as stack:
            victim = stack.worker(concurrency=1)
            run_id = probe.delay(path=str(stack.journal), script=[["sleep", 60]], lock="").id
            stack.reaches(run_id, "running")
            stack.worker(concurrency=1)
            found.append(_killed(stack, victim, run_id) / LEASE)
    place.clear()
    return [
        Line("kill -9 to re-run, median", middle(found), unit="leases", better="smaller", target=TARGET),
        Line("kill -9 to re-run, longest", max(found), unit="leases", better="smaller", target=TARGET),
    ]


def _killed(stack: Stack, victim: Process, run_id: str) -> float:
    began = time.monotonic()
    victim.kill()
    eventually(partial(_runs_again, stack, run_id), 60, "the run to start again")
    return time.monotonic() - began


def _runs_again(stack: Stack, run_id: str) -> bool:
    run = stack.run(run_id)
    return run.attempts == 2 and run.state == "running"
