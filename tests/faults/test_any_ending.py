"""A body that ended is never entered again because of how it ended (I8): whatever it raises or returns, in a worker."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis

from celery_anp.cli import printing
from celery_anp.cli.story import outcome, tell
from celery_anp.local.embedded.server import RedisServer
from celery_anp.reliability.run import Run
from celery_anp.security import ERROR_LIMIT
from celery_anp.wording import name_of
from tests.faults import anyhow, oddities
from tests.support.eventually import eventually
from tests.support.probe import add
from tests.support.stack import Stack, on_empty_redis
from tests.support.still_works import still_works

pytestmark = pytest.mark.long

TASKS = "tests.support.probe,tests.faults.anyhow"
#: Words of plans with which a body asks to be entered once more.
AGAIN = {"requeue", "by hand", "retry"}
FILE = "not a csv: caf\udce9.txt"

Plan = dict[str, Any]
texts = st.text(st.characters(exclude_categories=()), max_size=30) | st.just(FILE) | st.just("x\x00\x1b[2J|\n")
errors = st.fixed_dictionaries({"kind": st.sampled_from(oddities.KINDS), "text": texts})
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
values = st.fixed_dictionaries({"value": plain}) | st.fixed_dictionaries({"odd": st.sampled_from(sorted(oddities.ODD))})
said = st.fixed_dictionaries({"text": texts}, optional={"error": errors})
pauses = st.sampled_from(["2", [], -1, float("nan"), float("inf"), 1e12, 10**400, "never", ""])
PLANS: dict[str, st.SearchStrategy[Plan]] = {
    "raise": st.fixed_dictionaries({"error": errors}),
    "return": values,
    "ignore": st.builds(lambda text, own, value: {"text": text, "own": own, **value}, texts, st.booleans(), values),
    "reject": said,
    "requeue": said,
    "by hand": said,
    "retry": said,
    "retry in vain": said,
    "retry when": st.fixed_dictionaries({"option": st.sampled_from(["countdown", "eta"]), "value": pauses}),
    "record": st.builds(lambda text, value: {"text": text, **value}, texts, values),
}
plans = st.one_of([st.tuples(st.just(word), plan) for word, plan in PLANS.items()])
FEW = settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with on_empty_redis(tmp_path_factory.mktemp("anyhow"), {"tasks": TASKS}) as stack:
        stack.worker()
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    """The shared stack; whatever ended in it, its one worker is still there and works."""
    yield shared
    still_works(shared)


def entered(stack: Stack, end: str = "") -> Counter[str]:
    """How often the body of each run was entered."""
    path = stack.folder / f"entered{end}"
    return Counter(path.read_text(encoding="utf-8").split() if path.exists() else ())


def send(stack: Stack, task: Any, plan: Plan, **more: str) -> Any:
    return task.apply_async((), {"path": str(stack.folder / "entered"), "plan": json.dumps(plan), **more})


def ended(stack: Stack, result: Any, timeout: float = 30) -> Run:
    """A run's one named ending: told without a loss, by everybody who is asked for it."""
    run = stack.ends(result.id, timeout)
    assert (run.losses, run.attempts) == (0, entered(stack)[result.id]), run
    assert run.state in ("succeeded", "failed"), run
    assert run.state == "succeeded" or (run.reason and run.error and run.error["type"]), run
    if run.error:
        assert len(json.dumps(run.error)) < 2 * ERROR_LIMIT + 500
    is_told(run)
    eventually(result.ready, 10, f"Celery to know that {result.id} has ended")
    if run.state == "failed":
        assert isinstance(result.get(timeout=10, propagate=False), Exception)
    return run


def is_told(run: Run) -> None:
    """`anp runs list`, `show` and `--json` tell of it on a screen that takes no half letter."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    with redirect_stdout(screen):
        printing.as_json(run.public())
        end = screen.tell()
        printing.table(("outcome",), [(outcome(run),)])
        tell(run)
    screen.flush()
    document = screen.buffer.getvalue()[:end].decode()
    assert json.loads(document, parse_constant=pytest.fail)["state"] == run.state


@FEW
@given(st.lists(plans, min_size=8, max_size=16))
@example([("raise", {"error": {"kind": kind, "text": FILE}}) for kind in oddities.KINDS])
@example([("return", {"odd": odd}) for odd in oddities.ODD])
@example([("record", {"text": FILE, "odd": odd}) for odd in oddities.ODD])
@example([(word, {"text": FILE}) for word in ("reject", "requeue", "by hand", "retry", "retry in vain")])
@example([("reject", {"text": "", "error": {"kind": kind, "text": FILE}}) for kind in oddities.OWN])
@example([("retry", {"text": "", "error": {"kind": kind, "text": FILE}}) for kind in oddities.OWN])
@example([("ignore", {"text": FILE, "own": own, "odd": "object"}) for own in (False, True)])
def test_a_body_is_entered_once_and_ends_with_a_name_however_it_ends(
    stack: Stack, given: list[tuple[str, Plan]]
) -> None:
    end_all(stack, given)


@pytest.mark.timeout(900)
@settings(FEW, max_examples=60)
@given(st.lists(plans, min_size=8, max_size=24))
def test_the_same_of_thousands_of_bodies(stack: Stack, given: list[tuple[str, Plan]]) -> None:
    end_all(stack, given)


def end_all(stack: Stack, given: list[tuple[str, Plan]]) -> None:
    """Bodies that end as their plans say, side by side."""
    sent = [(word, plan, send(stack, anyhow.body, {"word": word, "plan": plan})) for word, plan in given]
    for word, plan, result in sent:
        run = ended(stack, result)
        in_the_past = word == "retry when" and plan["value"] == -1
        assert run.attempts <= 1 + (word in AGAIN or in_the_past), (word, plan, run)
        if word == "raise":
            assert (run.state, run.error and run.error["type"]) == ("failed", name_of(oddities.error_of(plan["error"])))
        if word == "ignore":
            assert run.state == "succeeded"
        if word in ("reject", "retry in vain", "retry when"):
            assert (run.state, run.attempts) == ("failed", 1 + in_the_past)


@FEW
@given(st.lists(errors, min_size=8, max_size=16))
@example([{"kind": kind, "text": FILE} for kind in (*oddities.OWN, "SystemExit", "OSError")])
def test_celerys_autoretry_enters_a_body_as_often_as_it_says(stack: Stack, given: list[dict[str, str]]) -> None:
    sent = [send(stack, anyhow.auto, {"word": "raise", "plan": {"error": error}}) for error in given]
    for error, result in zip(given, sent, strict=True):
        run = ended(stack, result)
        may_retry = isinstance(oddities.error_of(error), Exception)
        assert (run.state, run.attempts <= 1 + may_retry) == ("failed", True), (error, run)


@pytest.mark.parametrize("kind", ["Hopeless", "SystemExit", "Base", "CancelledError", "group"])
def test_a_hook_that_cannot_say_why_it_failed_is_entered_once(stack: Stack, kind: str) -> None:
    error = {"kind": kind, "text": FILE}
    result = send(stack, anyhow.hooked, {"word": "raise", "plan": {"error": error}})
    run = stack.ends(result.id, 30)
    assert (run.state, run.losses) == ("rollback_failed", 0)
    assert (entered(stack)[run.run_id], entered(stack, ".undone")[run.run_id]) == (1, 1)
    assert [(entry.outcome, kind in entry.note or "Group" in entry.note) for entry in run.undo] == [("failed", True)]
    is_told(run)


@pytest.mark.parametrize("kind", ["ValueError", "Silent"])
def test_a_hook_that_is_tried_again_says_why(stack: Stack, kind: str) -> None:
    error = {"kind": kind, "text": FILE}
    result = send(stack, anyhow.hooked, {"word": "raise", "plan": {"error": error}})

    def first() -> Run | None:
        run = stack.run(result.id)
        return run if "its rollback failed" in run.history[-1].reason else None

    run = eventually(first, 20, "the hook to fail")
    assert run is not None
    assert (run.state, run.losses) == ("rolling_back", 0)
    assert ("caf\\udce9" if kind == "ValueError" else "cannot say what it is") in run.reason + run.history[-1].reason


@pytest.mark.parametrize("how", ["ends well", "fails", "retries"])
def test_handlers_and_receivers_that_raise_change_no_ending(stack: Stack, how: str) -> None:
    error = {"kind": "Silent", "text": FILE}
    where = (*anyhow.HANDLERS, *anyhow.SIGNALS)
    sent = [(name, send(stack, anyhow.handled, error, where=name, how=how)) for name in where]
    for name, result in sent:
        run = stack.ends(result.id, 30)
        assert (run.losses, run.attempts, entered(stack)[run.run_id]) == (0, *[1 + (how == "retries")] * 2), name
        assert run.state == ("failed" if how == "fails" else "succeeded")


@pytest.mark.parametrize("kind", ["ValueError", "Silent", "SystemExit"])
def test_what_is_raised_before_the_body_starts_is_how_it_ends(stack: Stack, kind: str) -> None:
    error = {"kind": kind, "text": FILE}
    run = stack.ends(send(stack, anyhow.handled, error, where="before_start", how="ends well").id)
    assert (run.state, run.attempts, run.losses) == ("failed", 1, 0)
    assert (entered(stack)[run.run_id], run.error and run.error["type"]) == (0, kind)


def test_a_handler_that_ends_its_process_changes_no_ending(stack: Stack) -> None:
    for how, name in (("ends well", "on_success"), ("fails", "on_failure"), ("ends well", "after_return")):
        result = anyhow.handled.delay(str(stack.folder / "entered"), "exit", name, how)
        run = stack.ends(result.id, 30)
        assert (run.losses, run.attempts, run.state) == (0, 1, "failed" if how == "fails" else "succeeded")
        eventually(lambda: add.delay(1, 2).get(timeout=20) == 3, 30)
        assert (entered(stack)[run.run_id], stack.run(run.run_id).state) == (1, run.state)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("SystemExit", "3", "exit with code 1: 3"),
        ("SystemExit", "", "exit with code 1"),
        ("KeyboardInterrupt", "", "left by KeyboardInterrupt"),
        ("GeneratorExit", "why", "left by GeneratorExit: why"),
        ("ValueError", FILE, r"not a csv: caf\udce9.txt"),
        ("Silent", "", "cannot say what it is"),
    ],
)
def test_the_error_is_named(stack: Stack, kind: str, text: str, says: str) -> None:
    result = send(stack, anyhow.body, {"word": "raise", "plan": {"error": {"kind": kind, "text": text}}})
    run = ended(stack, result)
    assert run.error is not None
    assert (says in run.error["message"], says in run.reason, says in str(result.result)) == (True, True, True), run


def test_a_retry_with_an_input_that_is_too_large_is_refused_where_it_is_asked_for(stack: Stack) -> None:
    plan = {"path": str(stack.folder / "entered"), "text": FILE, "times": 20_000}
    run = ended(stack, send(stack, anyhow.body, {"word": "retry with", "plan": plan}))
    assert (run.state, run.attempts, run.error and run.error["type"]) == ("failed", 1, "LimitExceeded")


@pytest.mark.parametrize("kind", ["many", "large", "ValueError"])
def test_celerys_record_of_a_failure_has_the_limit_that_the_row_has(stack: Stack, kind: str) -> None:
    error = {"kind": kind, "text": "ü" * 30_000 if kind == "ValueError" else "ü" * 10}
    result = send(stack, anyhow.body, {"word": "raise", "plan": {"error": error}})
    chained = (anyhow.body.si(str(stack.folder / "entered"), json.dumps({"word": "raise", "plan": {"error": error}}))
               | add.si(1, 2)).apply_async()  # fmt: skip
    with Redis.from_url(stack.redis_url) as client:
        for one in (ended(stack, result), ended(stack, chained.parent), chained):
            run_id = getattr(one, "run_id", None) or chained.id
            kept = eventually(partial(client.get, f"celery-task-meta-{run_id}"), 20, "the record")
            assert kept is not None
            assert len(kept) < 2 * ERROR_LIMIT + 1000, run_id
    assert isinstance(result.get(propagate=False), ValueError)


def test_what_an_operator_reads_of_them(stack: Stack) -> None:
    errors = [{"kind": kind, "text": FILE} for kind in oddities.OWN]
    sent = [send(stack, anyhow.body, {"word": "raise", "plan": {"error": error}}).id for error in errors]
    sent += [send(stack, anyhow.body, {"word": "return", "plan": {"odd": odd}}).id for odd in oddities.ODD]
    for run_id in sent:
        stack.ends(run_id)
    listed = json.loads(stack.anp("runs", "list", "--json", "-n", "1000").stdout, parse_constant=pytest.fail)
    assert set(sent) <= {run["run_id"] for run in listed}
    table = stack.anp("runs", "list", "-n", "1000").stdout
    assert all(run_id in table for run_id in sent)
    told = [run["run_id"] for run in listed if "caf\\udce9" in run["reason"]]
    shown = stack.anp("runs", "show", told[0])
    assert (shown.returncode, "caf\\udce9" in shown.stdout) == (0, True)
