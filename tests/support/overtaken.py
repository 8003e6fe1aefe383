"""A site on which a later attempt has written: the fenced writes of every other one are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, delete

from tests.support.eventually import eventually
from tests.support.stack import Process
from worker.site import database, fence
from worker.site.tables import fences

#: Beyond the fence of every attempt.
LATER = 2**62


@contextmanager
def overtaken(engine: Engine, name: str, worker: Process) -> Iterator[Callable[[], None]]:
    """Inside the block every attempt of the worker is too late for a write under the fence's name.

    Args:
        engine: of the site's database.
        name: of the fence, such as `publish:main`.
        worker: whose log tells of refusals.

    Yields:
        Waits until the worker was refused.
    """
    refusal = f"A write under {name!r} was refused"
    before = worker.said().count(refusal)
    with database.writing(engine) as connection:
        fence.guard(connection, name, LATER)
    yield lambda: _grows(worker, refusal, before)
    with database.writing(engine) as connection:
        connection.execute(delete(fences).where(fences.c.name == name))


def _grows(worker: Process, refusal: str, before: int) -> None:
    eventually(lambda: worker.said().count(refusal) > before, 20, f"the worker to say: {refusal}")
