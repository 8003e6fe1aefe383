"""Fields of a task that are called as something of ours: they reach body and hook, or are refused where declared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery

from celery_anp.app import guard
from celery_anp.errors import BadDeclaration
from tests.support.stack import Stack

NAMES = (
    "task", "run_id", "args", "kwargs", "fence", "name", "function", "attempt", "state", "request", "key", "lock",
    "retries", "id", "countdown", "eta", "queue", "headers", "values", "message", "result", "error", "options",
    "model_config", "data", "hook", "reason", "node", "app", "expires", "input", "signature", "progress", "cls", "step",
)  # fmt: skip
THEIRS = """
import json
from celery import Celery
from celery_anp.app import guard

app = Celery("theirs", broker="{url}", backend="{url}")
guard(app)

def told(**data):
    return data

@app.task(bind=True, name="everything", lock="{{name}}:{{task}}:{{lock}}")
def everything(self, {names}):
    given = dict(locals())
    given.pop("self")
    if self.request.retries == 0:
        raise self.retry(countdown=0, kwargs={{**given, "task": 5}})
    again = self.step("told", told, self=1, **given)
    assert again == {{"self": 1, **given}}, again
    self.undo("told", self=1, **given)
    raise ValueError("as asked")

@everything.on_rollback("Writes down what it was given.")
def undone(self, undo, /, {names}):
    given = dict(locals())
    for kept in ("self", "undo"):
        given.pop(kept)
    for entry in undo:
        assert entry.data == {{"self": 1, **given}}, entry.data
    open("{journal}", "a").write(json.dumps({{"event": "undone", **given}}) + "\\n")

@app.task(name="undoes")
def undoes(undo, task, kwargs):
    return [undo, task, kwargs]
"""


def test_fields_with_names_of_ours_reach_the_body_the_hook_and_a_retry(stack: Stack) -> None:
    text = THEIRS.format(url=stack.redis_url, journal=stack.journal, names=", ".join(NAMES))
    (stack.folder / "names_app.py").write_text(text)
    stack.worker(app="names_app", concurrency=1)
    client = Celery("client", broker=stack.redis_url, backend=stack.redis_url, set_as_current=False)
    given: dict[str, Any] = {name: number for number, name in enumerate(NAMES)}
    run = stack.ends(client.send_task("everything", kwargs=given).id)
    assert (run.state, run.error and run.error["message"]) == ("rolled_back", "as asked"), run.reason
    (line,) = stack.lines("undone")
    assert {name: line[name] for name in NAMES} == {**given, "task": 5}
    assert client.send_task("undoes", kwargs={"undo": 1, "task": 2, "kwargs": {"a": 3}}).get(timeout=20) == [
        1,
        2,
        {"a": 3},
    ]
    words = ("tasks", "run", "undoes", "undo=1", "task=2", "kwargs=[]", "--wait", "--json")
    by_hand = json.loads(stack.anp("-A", "names_app", *words).stdout)
    assert (by_hand["state"], by_hand["result"]) == ("succeeded", [1, 2, []])


@pytest.fixture
def theirs() -> Celery:
    return guard(Celery("theirs", set_as_current=False))


def test_a_field_called_self_asks_whether_the_task_should_be_bound(theirs: Celery) -> None:
    def body(self: Any, site: str) -> None:
        """Forgot bind=True."""

    with pytest.raises(BadDeclaration, match=r"has a field called 'self'\. Expected: bind=True"):
        theirs.task(name="t", lazy=False, shared=False)(body)
    assert theirs.task(name="u", lazy=False, shared=False, bind=True)(body).name == "u"


def _undo_field(undo: int) -> None:
    """Has a field that its hook cannot have."""


def _task_field(task: int) -> None:
    """The same."""


def _plain(site: str, batch: int = 5) -> None:
    """Has none of those."""


@pytest.mark.parametrize(
    ("body", "hook", "said"),
    [
        (_undo_field, lambda self, undo: None, "a parameter 'undo' of its own"),
        (_task_field, lambda task, undo: None, "a parameter 'task' of its own"),
        (_plain, lambda self, undo, site: None, "does not take the input of its task: got an unexpected keyword"),
        (_plain, lambda self, undo, site, batch, more: None, "missing a required argument: 'more'"),
        (_plain, lambda self: None, "does not take the input"),
    ],
)
def test_a_hook_that_cannot_take_the_input_is_refused_where_it_is_declared(
    theirs: Celery, body: Any, hook: Any, said: str
) -> None:
    task = theirs.task(name="t", lazy=False, shared=False)(body)
    with pytest.raises(BadDeclaration, match=said):
        task.on_rollback("Undoes it.")(hook)
    assert not task.has_rollback


@pytest.mark.parametrize(
    ("body", "hook"),
    [
        (_undo_field, lambda self, entries, undo: None), (_undo_field, lambda self, undo, /, **given: None),
        (_plain, lambda self, undo, site, batch=5: None), (_plain, lambda self, undo, **given: None),
        (_plain, lambda *everything, **given: None),
    ],
)  # fmt: skip
def test_a_hook_that_takes_it_is_taken(theirs: Celery, body: Any, hook: Any) -> None:
    task = theirs.task(name="t", lazy=False, shared=False)(body)
    task.on_rollback("Undoes it.")(hook)
    assert task.has_rollback
