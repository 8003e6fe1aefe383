"""Chains, chords and errbacks that are begun all through a storm, and what of them must have run after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any
from uuid import uuid4

from celery_anp.reliability.records import NewRun
from celery_anp.reliability.run import Run
from tests.faults.scene import Scene
from tests.support.eventually import eventually
from worker.app import app

#: Seconds between two canvases, and that the ledger may be away.
EVERY = 3.0
AWAY = 60.0
#: What the runs do.
STEP: list[list[Any]] = [["effect", "e"]]
UNDONE: list[list[Any]] = [["undo", "u"], ["effect", "u"], ["fail", "KeyError"]]


class Canvases:
    """A thread that begins one canvas after the other; a context manager.

    Their ids are chosen before anything is planned: one that is tried again is the same one.

    Args:
        scene: where they run.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        #: Each run of each canvas: the runs that it follows, and how these must have ended for it to run.
        self.follows: dict[str, tuple[Sequence[str], str]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="canvases", daemon=True)

    def __enter__(self) -> Canvases:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Begin no further ones; the last is planned whole."""
        self._stopped.set()
        self._thread.join(timeout=2 * AWAY)
        assert not self._thread.is_alive(), "the last canvas is still not planned"

    def missing(self, runs: Sequence[Run]) -> Iterator[str]:
        """The runs that should have been and have no row.

        Args:
            runs: every row.
        """
        ended = {run.run_id: run.state for run in runs}
        for run_id, (before, state) in self.follows.items():
            if run_id not in ended and all(ended.get(other) == state for other in before):
                yield f"{run_id} has no row; it follows {', '.join(before) or 'nothing'}"

    def _loop(self) -> None:
        kinds: tuple[Callable[[], list[NewRun]], ...] = (self._chain, self._chord, self._errback)
        for kind in cycle(kinds):
            if self._stopped.wait(EVERY):
                return
            eventually(partial(self.scene.ledger.plan, kind()), AWAY, "a canvas to be planned")

    def _chain(self) -> list[NewRun]:
        """Three runs, one after the other."""
        second, third = self.scene.link(STEP), self.scene.link(STEP)
        first = self.scene.draft(*STEP, chain=[third, second])
        self.follows |= {
            first.run_id: ((), ""), second.id: ((first.run_id,), "succeeded"), third.id: ((second.id,), "succeeded")
        }  # fmt: skip
        return [first]

    def _chord(self) -> list[NewRun]:
        """Three runs side by side, one after them, and one that is linked to that."""
        last = self.scene.link(STEP)
        body, group = self.scene.link(STEP).set(link=[last]), str(uuid4())
        key = app.backend.get_key_for_group(group, ".s")
        eventually(partial(self.scene.ledger.store.read, "set", key, 3), AWAY, "the size of a chord to be kept")
        parts = [self.scene.draft(*STEP, group=group, group_index=number, chord=body) for number in range(3)]
        names = [part.run_id for part in parts]
        self.follows |= dict.fromkeys(names, ((), ""))
        self.follows |= {body.id: (names, "succeeded"), last.id: ((body.id,), "succeeded")}
        return parts

    def _errback(self) -> list[NewRun]:
        """A run that fails and is undone, and one that hears of it."""
        errback = self.scene.link(STEP)
        first = self.scene.draft(*UNDONE, errbacks=[errback])
        self.follows |= {first.run_id: ((), ""), errback.id: ((first.run_id,), "rolled_back")}
        return [first]
