"""Children that say a long message in two halves: between its length and the rest they wait, where a file tells them.

billiard writes the length of a message of more than 16 KiB by itself, as every failure with its traceback can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from billiard.connection import Connection
from celery import signals

from tests.support.journal import Journal
from tests.support.probe import OURS
from worker.app import app
from worker.reliability.retry import Retries

#: Bytes of a message's length.
HEAD = 4
halves: list[Path] = []
send = Connection._send


@app.task(name="halves.fails", retries=Retries(max=0), **OURS)
def fails(path: str, size: int) -> None:
    """Fails with an error of so many characters; its child waits at the gate `rest` before it has said all of it."""
    halves.append(Path(path))
    raise KeyError("x" * size)


def send_head(self: Any, buf: Any, *args: Any) -> None:
    send(self, buf, *args)
    if len(buf) == HEAD and halves:
        Journal(halves.pop()).wait_at("rest")


@signals.worker_process_init.connect(weak=False)
def _slow_down(**_: Any) -> None:
    Connection._send = send_head
