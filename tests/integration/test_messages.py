"""What a worker accepts: JSON, of a name that it knows, no larger than a message may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from celery_anp.errors import LimitExceeded
from celery_anp.security import CONTENT, INPUT_LIMIT
from tests.support import probe as tasks
from tests.support.eventually import eventually
from tests.support.stack import Stack


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.fixture
def stranger(stack: Stack) -> Celery:
    """A producer that may write to the broker and keeps to no rule of ours."""
    app = Celery("stranger", broker=stack.redis_url, set_as_current=False)
    app.conf.update(task_default_queue="default", task_serializer="pickle")
    return app


def test_a_message_that_runs_code_when_it_is_read_is_not_read(stack: Stack, stranger: Celery, tmp_path: Path) -> None:
    assert CONTENT == ("json",)
    worker = stack.worker()
    stranger.send_task("probe.add", (Touches(tmp_path / "owned"), 1))
    eventually(lambda: "pickle" in worker.said(), 20, "the worker to refuse it")
    assert tasks.add.delay(2, 3).get(timeout=20) == 5
    assert not (tmp_path / "owned").exists()


def test_an_input_that_is_too_large_is_refused_and_nothing_is_planned(stack: Stack) -> None:
    with pytest.raises(LimitExceeded, match=str(INPUT_LIMIT)):
        tasks.secretive.delay("x" * INPUT_LIMIT, "ann")
    assert stack.ledger.runs() == []


def test_a_strangers_message_that_is_too_large_or_of_an_unknown_name_harms_nobody(
    stack: Stack, stranger: Celery
) -> None:
    worker = stack.worker()
    stranger.send_task("probe.secretive", ("x" * 2 * INPUT_LIMIT, "ann"), serializer="json")
    stranger.send_task("os.system", ("touch /tmp/owned",), serializer="json")
    assert tasks.add.delay(2, 3).get(timeout=20) == 5
    eventually(lambda: all(word in worker.said() for word in ("os.system", "too large")), 20, "both to be refused")
    assert [run.task for run in stack.ledger.runs() if run.state == "succeeded"] == ["probe.add"]
