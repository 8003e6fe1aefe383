"""Children that say a long message in two halves, and wait at the gate `rest` between them.

billiard writes the length of a message of more than 16 KiB by itself, as every failure with its traceback can be.
"""

from __future__ import annotations

import array
import fcntl
import termios
from typing import Any

from billiard.connection import Connection
from celery import signals

from celery_anp.reliability.retry import Retries
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.probe import OURS
from worker.app import app

#: Bytes of a message's length.
HEAD = 4
#: The path of the journal, and after how many bytes of the rest to wait: what the task said, for its end.
asked: list[tuple[str, int]] = []
send = Connection._send


@app.task(name="halves.fails", retries=Retries(max=0), **OURS)
def fails(path: str, after: int) -> None:
    """Fails, which its child says but for what comes after so many bytes; that it says when the gate is open."""
    asked.append((path, after))
    raise KeyError("x" * 20_000)


def send_in_halves(self: Any, buf: Any, *args: Any) -> None:
    if len(buf) == HEAD or not asked:
        send(self, buf, *args)
        return
    path, after = asked.pop()
    if after:
        send(self, buf[:after], *args)
    eventually(lambda: unread(self) == 0, 20, "the main process to have read the first half")
    Journal(path).wait_at("rest")
    send(self, buf[after:], *args)


def unread(pipe: Connection) -> int:
    """Bytes that nobody has read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, count)
    return count[0]


@signals.worker_process_init.connect(weak=False)
def _slow_down(**_: Any) -> None:
    Connection._send = send_in_halves
