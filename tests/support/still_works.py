"""A worker that was shared by tests: whatever one of them did to it, the next one finds it at work."""

from __future__ import annotations

from tests.support.probe import add
from tests.support.stack import Stack


def still_works(stack: Stack) -> None:
    """Look at a stack's only process, a worker.

    Raises:
        AssertionError: it has ended, with the end of its log; or it does no work.
    """
    (worker,) = stack.processes
    assert worker.process.poll() is None, worker.said()[-3000:]
    assert add.delay(2, 3).get(timeout=20) == 5
