"""How soon a run starts again after its worker was killed with -9: where its death can be seen, and where it cannot."""

from __future__ import annotations

import time
from functools import partial

from tests.bench.place import LEASE, Place
from tests.bench.rounds import middle
from tests.bench.table import Line
from tests.faults.places import hide
from tests.support.eventually import eventually
from tests.support.stack import Process, Stack

#: At most so many seconds where the death can be proved, else at most the lease and two seconds.
SEEN = 3.0
TARGET = (LEASE + 2) / LEASE


def lines(place: Place) -> list[Line]:
    """Seconds, or leases, between the kill and the next attempt; plain Celery's message comes again after an hour."""
    turns = range(place.either(3, 7))
    seen = [_recovery(place, f"seen{turn}", elsewhere=False) for turn in turns]
    waited = [_recovery(place, f"waited{turn}", elsewhere=True) / LEASE for turn in turns]
    place.clear()
    return [
        Line("kill -9 to re-run, death seen, median", middle(seen), unit="s", better="smaller", target=SEEN),
        Line("kill -9 to re-run, death seen, longest", max(seen), unit="s", better="smaller", target=SEEN),
        Line("kill -9 to re-run, not seen, median", middle(waited), unit="leases", better="smaller", target=TARGET),
        Line("kill -9 to re-run, not seen, longest", max(waited), unit="leases", better="smaller", target=TARGET),
    ]


def _recovery(place: Place, name: str, *, elsewhere: bool) -> float:
    from tests.support.probe import probe

    place.clear()
    folder = place.folder / name
    folder.mkdir()
    with Stack(folder, place.server.url) as stack:
        victim = stack.worker(concurrency=1)
        run_id = probe.delay(path=str(stack.journal), script=[["sleep", 60]], lock="").id
        node = stack.reaches(run_id, "running").node
        stack.worker(concurrency=1)
        if elsewhere and node:
            hide(stack.ledger, node)
        return _killed(stack, victim, run_id)


def _killed(stack: Stack, victim: Process, run_id: str) -> float:
    began = time.monotonic()
    victim.kill()
    eventually(partial(_runs_again, stack, run_id), 60, "the run to start again")
    return time.monotonic() - began


def _runs_again(stack: Stack, run_id: str) -> bool:
    run = stack.run(run_id)
    return run.attempts == 2 and run.state == "running"
