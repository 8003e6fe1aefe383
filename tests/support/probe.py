"""Tasks for the tests: one that does what its script says, and a few for Celery's idioms."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

from billiard.util import set_pdeathsig
from celery import Task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import before_task_publish, task_postrun, task_prerun
from pydantic import AfterValidator, SecretStr

from celery_anp.reliability.retry import Retries
from tests.support.journal import Journal
from worker.app import app

log = logging.getLogger(__name__)
OURS = {"owner": "tests", "expects": "what the test says", "no_rollback": "reads only"}


def journal_step(path: str, name: str) -> str:
    """A step's effect."""
    Journal(path).write("step", name=name)
    return name


@app.task(
    bind=True, name="probe", owner="tests", expects="what the script says", lock="{lock}",
    retries=Retries(max=3, first=0.2, factor=1, jitter=0, never=(KeyError,)), time_limit=60,
)  # fmt: skip
def probe(self: Any, path: str, script: list[list[Any]], lock: str = "probe") -> dict[str, Any]:
    """Does what its script says: lines of a word and its arguments."""
    number = self.anp_attempt.number if self.anp_attempt else 0
    journal = Journal(path)
    who = {"run": self.run_id, "fence": self.fence, "lock": lock or self.run_id}
    journal.write("begin", **who)
    for word, *rest in script:
        if word == "gate again" and number > 1:
            journal.wait_at(rest[0], run=self.run_id)
        act(self, journal, who, word, rest)
        end_early(self, number, word, rest)
    journal.write("end", **who)
    return {"attempt": number}


def act(task: Any, journal: Journal, who: dict[str, Any], word: str, rest: list[Any]) -> None:
    """The words after which a body goes on."""
    if word == "sleep":
        time.sleep(rest[0])
    elif word == "gate":
        journal.wait_at(rest[0], run=who["run"])
    elif word == "effect":
        journal.write("effect", name=rest[0], key=f"{who['run']}/{rest[0]}", **who)
    elif word == "undo":
        task.undo(rest[0], value=rest[0])
    elif word == "progress":
        task.progress(*rest)
    elif word == "outlive":
        set_pdeathsig(0)  # the kernel does not end this body with its worker
    elif word == "start":
        journal.write("started", started=subprocess.Popen(rest).pid, **who)
    elif word == "cancelled":
        journal.write("looked", cancelled=task.cancelled)
    elif word == "step":
        task.step(rest[0], journal_step, str(journal.path), rest[0])


def end_early(task: Any, number: int, word: str, rest: list[Any]) -> None:
    """The words that end an attempt."""
    if word == "fail" and (len(rest) < 2 or number <= rest[1]):
        raise {"ValueError": ValueError, "KeyError": KeyError}[rest[0]]("as asked")
    if word == "retry" and number == 1:
        task.retry(kwargs=rest[1] if rest[1:] else None, countdown=rest[0])
    if word == "eat":
        bytearray(rest[0] << 20)[:] = b"x" * (rest[0] << 20)
    if word == "die" and (not rest or number <= rest[0]):
        os.kill(os.getpid(), 9)


@probe.on_rollback("Writes a line for each undo entry.")
def unprobe(self: Any, undo: Any, path: str, script: list[list[Any]], lock: str = "probe") -> None:
    journal = Journal(path)
    who = {"run": self.run_id, "fence": self.fence, "lock": lock or self.run_id}
    journal.write("rollback", **who)
    for entry in undo:
        journal.write("undone", name=entry.name, key=f"{self.run_id}/undo/{entry.name}", **who)
        for gate in named(script, "gate undone"):
            journal.wait_at(gate, run=self.run_id)
        if named(script, "undo fails"):
            raise RuntimeError("the hook fails as asked")


def named(script: list[list[Any]], word: str) -> list[str]:
    """The first arguments of a word that stands in a script."""
    return [str(rest[0]) if rest else "yes" for found, *rest in script if found == word]


@task_prerun.connect(dispatch_uid="probe-popped")
def stand_before_begin(task_id: str = "", kwargs: Any = None, **_: Any) -> None:
    """`gate popped`: a child has the message and has not begun."""
    for gate in named((kwargs or {}).get("script", []), "gate popped"):
        Journal(kwargs["path"]).wait_at(gate, run=task_id)


@task_postrun.connect(dispatch_uid="probe-settled")
def stand_after_settle(task_id: str = "", kwargs: Any = None, **_: Any) -> None:
    """`gate settled`: the run is settled, and the child has not told its main process."""
    for gate in named((kwargs or {}).get("script", []), "gate settled"):
        Journal(kwargs["path"]).wait_at(gate, run=task_id)


@before_task_publish.connect(dispatch_uid="probe-sending")
def stand_before_link(headers: Any = None, body: Any = None, **_: Any) -> None:
    """`gate sending`: what this one is chained to is settled, and this one is neither planned nor sent."""
    kwargs = body[1] or {}
    for gate in named(kwargs.get("script", []), "gate sending"):
        Journal(kwargs["path"]).wait_at(gate, run=headers["parent_id"])


@app.task(name="probe.add", **OURS)
def add(x: int, y: int) -> int:
    """For canvas."""
    return x + y


@app.task(name="probe.total", **OURS)
def total(numbers: list[int]) -> int:
    """For chords."""
    return sum(numbers)


@app.task(bind=True, name="probe.stubborn", autoretry_for=(ValueError,), retry_kwargs={"countdown": 0.1}, **OURS)
def stubborn(self: Any) -> int:
    """Celery's autoretry."""
    if self.request.retries < 2:
        raise ValueError("not yet")
    return int(self.request.retries)


@app.task(bind=True, name="probe.counting", max_retries=5, **OURS)
def counting(self: Any, left: int) -> str:
    """A retry with a changed input."""
    if left:
        raise self.retry(args=(left - 1,), countdown=0.1)
    return f"done at {left}"


@app.task(bind=True, name="probe.ends", confirm=lambda value: value != "unexpected", **OURS)
def ends(self: Any, how: str) -> str:
    """Ends in one of Celery's ways."""
    if how == "ignore":
        raise Ignore("as asked")
    if how == "reject" or (how == "requeue" and self.anp_attempt.number == 1):
        raise Reject("as asked", requeue=how == "requeue")
    return 5 if how == "bad result" else how  # type: ignore[return-value]


@app.task(name="probe.skipping", lock="{name}", overlap="skip", **OURS)
def skipping(name: str) -> None:
    """Is skipped while its lock is taken."""


@app.task(name="probe.crowded", lock="{name}", overlap="buffer_all", limit=2, **OURS)
def crowded(name: str) -> None:
    """Two may wait for its lock."""


@app.task(name="probe.limited", rate_limit="60/m", **OURS)
def limited(x: int) -> int:
    """Begins once a second in a worker."""
    return x


@app.task(name="probe.rare", rate_limit="12/m", **OURS)
def rare(x: int) -> int:
    """Begins every five seconds in a worker."""
    return x


@app.task(name="probe.swallows", **OURS)
def swallows() -> str:
    """Swallows its soft time limit."""
    try:
        time.sleep(5)
    except SoftTimeLimitExceeded:
        return "swallowed"
    return "slept"


@app.task(name="probe.secretive", retries=Retries(max=0), **OURS)
def secretive(password: SecretStr, user: str) -> int:
    """Uses a secret; a careless one tells it."""
    if user == "chatty":
        log.warning("%s logs in with %s", user, password.get_secret_value())
    if user == "careless":
        raise PermissionError(f"{password.get_secret_value()} was refused")
    return len(password.get_secret_value())


def _found(path: str) -> str:
    Path(path).stat()
    return path


@app.task(name="probe.picky", retries=Retries(max=1, first=0.1), **OURS)
def picky(path: Annotated[str, AfterValidator(_found)]) -> str:
    """Its input was there when it was enqueued; its validator raises an error of its own when it has gone."""
    return path


@app.task(name="probe.noted", **OURS)
def noted(*told: Any, path: str, gate: str = "") -> None:
    """An errback; Celery calls its body with the failed request, the error and a traceback."""
    if gate:
        Journal(path).wait_at(gate)
    Journal(path).write("noted")


@app.task(bind=True, name="probe.says", track_started=True, retries=Retries(max=0), **OURS)
def says(self: Any, path: str, word: str) -> str:
    """Says what its message said."""
    request = self.request
    known = {name: getattr(request, name) for name in ("root_id", "parent_id", "group", "reply_to", "retries", "eta")}
    headers = {name: (request.headers or {}).get(name) for name in ("tenant", "more")}
    stored = self.AsyncResult(request.id).state
    Journal(path).write(
        "says", stored=stored, run=self.run_id, word=word, limits=list(request.timelimit), **known, **headers
    )
    if word == "fails":
        raise ValueError(word)
    return word


@app.task(base=Task, name="probe.plain")
def plain(x: int) -> int:
    """Not guarded."""
    return x * 2
