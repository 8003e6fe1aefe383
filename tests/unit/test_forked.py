"""A child that is forked while a thread of the main process sends something can send all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import functools, os, signal, sys, threading
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery_anp.seams import worker_step

class Own:
    @functools.cached_property
    def value(self):
        return 1

app = Celery("forks", broker="memory://")
app.send_task("first")
signals.before_task_publish.connect(lambda **_: None, weak=False)
worker_step.install(app)
lock = {
    "property": AMQP.__dict__["send_task_message"], "signal": signals.before_task_publish, "own": Own.__dict__["value"],
}[sys.argv[1]].lock
held = threading.Event()

def hold():
    with lock:
        held.set()
        threading.Event().wait(60)

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    app.send_task("second")
    os._exit(Own().value - 1)
sys.stdout.write(str(os.waitpid(child, 0)[1]))
sys.stdout.flush()
os._exit(0)
"""


OWN = pytest.param("own", marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 has no such lock"))


@pytest.mark.parametrize("held", ["property", "signal", OWN])
def test_a_child_sends_though_a_thread_held_a_lock_when_it_was_forked(held: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, held]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "0", f"its child was ended by signal {done.stdout} {done.stderr}"
