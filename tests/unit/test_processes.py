"""Which queues a worker takes."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from celery_anp.cli import processes
from celery_anp.cli.main import app


@pytest.mark.parametrize(
    ("given", "queues"),
    [
        ([], ["--queues=default,imports"]),
        (["--concurrency=1"], ["--queues=default,imports"]),
        (["--queues=imports"], ["--queues=imports"]),
        (["-Q", "mail"], ["-Q"]),
    ],
)
def test_a_worker_takes_every_queue_of_ours_unless_it_is_told_which(
    monkeypatch: pytest.MonkeyPatch, given: list[str], queues: list[str]
) -> None:
    called: list[str] = []
    monkeypatch.setattr(processes, "_celery", lambda *words: called.extend(words))
    assert CliRunner().invoke(app, ["worker", *given]).exit_code == 0
    assert [word for word in called if word.startswith(("-Q", "--queues"))] == queues
