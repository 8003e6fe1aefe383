"""A team's project that is guarded keeps its task classes, its options, and what its callers give."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from celery import VERSION, Celery, Task
from celery.app.amqp import AMQP
from celery.app.autoretry import add_autoretry_behaviour
from redis import Redis

from celery_anp import guard
from celery_anp.contract.options import CELERY_OPTIONS, UNSAID
from celery_anp.errors import BadDeclaration, BadInput, BadSetting
from celery_anp.seams import start
from celery_anp.task import ReliableTask
from tests.support import team
from tests.support.eventually import eventually
from tests.support.stack import Stack, on_empty_redis

pytestmark = pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
#: Options for which None is no value.
VALUES: dict[str, Any] = {
    "autoretry_for": (KeyError,), "dont_autoretry_for": (), "retry_kwargs": {}, "retry_backoff": 1,
    "retry_backoff_max": 60, "pydantic": True,
}  # fmt: skip
WRAPPED = ("direct", "polite", "of-ours", "of-the-apps", "registered")


@pytest.fixture(scope="module")
def shop(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Any]]:
    """Flask's documented app with a worker, and the app as a producer."""
    pytest.importorskip("flask")  # not among the oldest of everything
    folder = tmp_path_factory.mktemp("team")
    with on_empty_redis(folder) as stack, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        stack.worker("-Q", "celery,feeds,routed", app=team.write(folder, "shop", team.FLASK, stack.redis_url))
        yield stack, import_module("shop").app
        del sys.modules["shop"]


def sent(shop: tuple[Stack, Any], name: str, *args: Any, **kwargs: Any) -> Any:
    stack, app = shop
    return stack.ends(app.tasks[name].delay(*args, **kwargs).id)


def test_flasks_documented_app_runs_in_its_context_and_has_rows(shop: tuple[Stack, Any]) -> None:
    run = sent(shop, "flask", 3)
    assert (run.state, run.result, run.attempts) == ("succeeded", "shop 3", 1)


@pytest.mark.parametrize("name", WRAPPED)
def test_no_call_of_a_class_goes_past_begin(shop: tuple[Stack, Any], name: str) -> None:
    run = sent(shop, name, 4)
    assert (run.state, run.result, run.attempts) == ("succeeded", 8, 1)
    told = [line for line in shop[0].lines("body", of=name) if line["id"] == run.run_id]
    assert [(line["args"], line["kwargs"]) for line in told] == [([4], {})]
    assert len(shop[0].lines("wrapper", of=name)) == 1


def test_a_class_keeps_its_attributes_hooks_and_names(shop: tuple[Stack, Any]) -> None:
    stack, app = shop
    task = app.tasks["direct"]
    assert isinstance(task, ReliableTask)
    assert (task.colour, type(task).__mro__[1].__name__) == ("green", "Direct")
    sent(shop, "fails", "no", times=2)
    hook = eventually(lambda: stack.lines("hook", hook="on_failure"), 10, "its hook to be called")[0]
    assert (hook["args"], hook["kwargs"]) == (["no"], {"times": 2})
    assert {"args": [4], "kwargs": {}, "retval": 8, "event": "hook", "hook": "on_success"} in stack.lines("hook")


def test_a_request_class_of_theirs_hears_of_a_failure(shop: tuple[Stack, Any]) -> None:
    assert sent(shop, "heard").state == "failed"
    eventually(lambda: shop[0].lines("request", of="heard"), 10, "their request to be called")


def test_the_plain_base_stays_outside_and_a_worker_tells_it(shop: tuple[Stack, Any]) -> None:
    stack, app = shop
    called = app.tasks["outside"].delay(1)
    assert called.get(timeout=10) == 1
    assert stack.ledger.find(called.id) is None
    assert "not guarded, because their base is celery.Task: outside." in stack.processes[0].said()


@pytest.mark.parametrize("name", ["delivered", "routed"])
def test_how_a_task_is_delivered_is_its_own_affair(shop: tuple[Stack, Any], name: str) -> None:
    assert sent(shop, name, "x").result == "x"


def test_celerys_own_pydantic_goes_on(shop: tuple[Stack, Any]) -> None:
    assert sent(shop, "modelled", {"number": 1}).result == {"number": 2}
    order = import_module("shop").Order
    if VERSION >= (5, 7):
        assert sent(shop, "modelled", order(number=2)).result == {"number": 3}


def test_annotations_are_no_law_and_the_input_comes_as_it_was_given(shop: tuple[Stack, Any]) -> None:
    stack, app = shop
    run = sent(shop, "loose", "no", None, more={"id": uuid4()})
    assert (run.state, run.result) == ("succeeded", None)
    (line,) = stack.lines("loose")
    assert (line["flag"], line["number"], line["more"], line["args"]) == ("no", None, "UUID", ["no", None])
    with pytest.raises(TypeError, match="flag"):
        app.tasks["loose"].delay()
    assert sent(shop, "starts").state == "succeeded"
    assert sent(shop, "again", 1).result == [2, 5]


def test_annotations_are_law_where_a_task_says_so(shop: tuple[Stack, Any]) -> None:
    assert sent(shop, "typed", "no").result == 0
    with pytest.raises(BadInput, match="flag"):
        shop[1].tasks["typed"].delay("maybe")


def test_a_lock_is_over_the_input_as_it_was_given(shop: tuple[Stack, Any]) -> None:
    assert sent(shop, "locked", "main").lock == "shop:main"
    assert sent(shop, "locked", site="main").lock == "shop:main"
    assert sent(shop, "locked").error["type"] == "TypeError"  # typing=False: the body says it, as in plain Celery


def app_with(**options: Any) -> Any:
    return guard(Celery("classes", broker=os.environ["ANP_REDIS_URL"], set_as_current=False, **options))


class Named(Task):
    """A class that is named by a dotted string."""

    def delay_twice(self, *args: Any) -> list[Any]:
        """A helper of theirs."""
        return [self.delay(*args), self.delay(*args)]


def body(x: int) -> int:
    return x


@pytest.mark.parametrize("given", [Named, f"{__name__}:Named", f"{__name__}.Named"])
def test_a_task_class_is_mixed_in_however_it_is_given(given: Any) -> None:
    made = app_with(task_cls=given).task(shared=False, name="t")(body)
    assert isinstance(made, ReliableTask)
    assert made.delay_twice.__func__ is Named.delay_twice


def test_a_class_that_is_set_after_the_call_is_mixed_in() -> None:
    made = app_with()
    made.Task = Named
    assert isinstance(made.task(shared=False, name="t")(body), (ReliableTask, Named))
    assert issubclass(type(made.tasks["t"]), ReliableTask)


class Counting(AMQP):
    """A publisher of theirs."""

    def counted(self) -> int:
        """A helper of theirs."""
        return len(self.queues)


def test_a_publisher_of_theirs_is_mixed_in(redis: Redis) -> None:
    made = app_with(amqp=f"{__name__}:Counting")
    assert made.amqp.counted() == 1
    run_id = made.task(shared=False, name="t")(body).apply_async((1,), queue="theirs").id
    assert made.ledger.run(run_id).state == "queued"


def read_by(code: Any) -> set[str]:
    """The texts in a function of Celery's, and in what it defines."""
    own = {const for const in code.co_consts if isinstance(const, str)} | set(code.co_varnames[: code.co_argcount])
    held = [c for const in code.co_consts if isinstance(const, tuple) for c in const if isinstance(c, str)]
    return own.union(held, *(read_by(const) for const in code.co_consts if hasattr(const, "co_consts")))


def test_each_option_that_celery_reads_is_known() -> None:
    sources = (add_autoretry_behaviour, Celery.task, Task.bind)
    later = set() if VERSION >= (5, 7) else {"exchange_type"}
    assert set().union(*(read_by(source.__code__) for source in sources)) | later >= UNSAID
    options = inspect.getsource(add_autoretry_behaviour)
    assert set(re.findall(r"""options.get\(\s*'(\w+)'""", options)) <= UNSAID
    words = {"pydantic", "queue", "routing_key", "exchange", "compression", "delivery_mode", "immediate", "mandatory"}
    assert words | {"max_retries", "serializer", "track_started"} <= CELERY_OPTIONS | set(dir(Task))
    made = app_with()
    for option in CELERY_OPTIONS - {"base", "bind", "name"}:
        made._task_from_fun(body, name=option, **{option: VALUES.get(option)})


@pytest.mark.parametrize(
    ("option", "near"), [("quee", "queue"), ("pydantik", "pydantic"), ("max_retrys", "max_retries")]
)
def test_an_option_that_nobody_reads_is_refused_with_what_was_meant(option: str, near: str) -> None:
    with pytest.raises(BadDeclaration, match=f"Did you mean '{near}'"):
        app_with()._task_from_fun(body, name="t", **{option: 1})


def test_all_that_cannot_be_kept_is_told_at_once_with_its_mend() -> None:
    made = guard(Celery("elsewhere", broker="amqp://guest:secret@127.0.0.1//", set_as_current=False))
    made.conf.update(task_protocol=1, worker_consumer="celery.worker.consumer:Consumer")

    class Taken(Task):
        def contract(self) -> None:
            """A name of ours."""

    made.task(shared=False, name="taken", base=Taken)(body)
    with pytest.raises(BadSetting) as error:
        start.refuse(start.unkept_by_worker(made))
    collision = "the class of taken uses names that we need: contract"
    older = ("task_protocol is 1",) if VERSION < (5, 7) else ()
    for told in ("its broker is amqp", "worker_consumer is", collision, *older):
        assert told in str(error.value)
    assert "secret" not in str(error.value)
    with pytest.raises(BadSetting, match="its broker is amqp"):
        made.tasks["taken"].delay(1)
