"""The Celery app, and `guard`: what makes an app's tasks guarded."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from celery import Celery, Task
from celery.app import backends
from celery.backends.base import DisabledBackend
from celery.utils.imports import symbol_by_name
from kombu.utils.url import parse_url

from celery_anp.canvas import reused, signatures
from celery_anp.canvas.results import with_ledger
from celery_anp.contract.declaration import typed
from celery_anp.contract.names import check_fields, check_hook
from celery_anp.contract.options import check_options
from celery_anp.deployment import Deployment
from celery_anp.errors import BadDeclaration, BadUsage
from celery_anp.reliability import sentinel
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.message import SECRETS
from celery_anp.reliability.records import NewRun
from celery_anp.seams import purge, start, worker_step
from celery_anp.seams.configuration import CONNECTING, CONSUMING, SOCKETS, configuration
from celery_anp.seams.task_class import guarded_class, guarded_request
from celery_anp.sending import publisher
from celery_anp.sending.call import OPTION, called
from celery_anp.sending.message import shown
from celery_anp.settings import settings
from celery_anp.task import ReliableTask

AMQP = "celery_anp.sending.publisher:LedgerAMQP"
#: The main name of an app of `create_app`.
MAIN = "anp"
CONTROL = "celery_anp.seams.purge:LedgerControl"
#: The one task of Celery's own that is guarded: what a run becomes that is replaced by a group.
ACCUMULATE = "celery.accumulate"
SAID_OF_IT = {"owner": "celery", "expects": "the results of a group", "no_rollback": "changes nothing"}


class GuardedApp(Celery):
    """A Celery app whose tasks are guarded: every publish passes the ledger first."""

    #: Whether its tasks are guarded; else only its publisher and its beat are ours.
    guards = True
    #: Whether annotations are law in its tasks, where they do not say it themselves.
    typed = True
    #: Whether a task must say who owns it, what it expects and how it is undone.
    strict = True
    #: What it adds to the engine.
    deployment = Deployment()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger on this app's broker.

        Raises:
            BadSetting: the app has what guard cannot keep, such as a broker that is no Redis.
        """
        start.refuse(start.unkept(self))
        return Ledger.connect(settings(), publisher.broker_url(self))

    @property
    def identity(self) -> str:
        """The name by which the ledger tells apps apart, the same in each process, deploy and release: its main name.

        An app of `create_app`, whose main name says nothing, has the package of its deployment's tasks behind it.
        """
        own = next((module.partition(".")[0] for module in self.deployment.tasks), "")
        name = self.main or "__main__"
        return f"{name}:{own}" if own and name == MAIN else name

    @property
    def release(self) -> str:
        """The release that this process belongs to."""
        return settings().release

    @cached_property
    def results_in_ledger(self) -> bool:
        """Whether Celery's results are on the ledger's Redis, so that one script can write both."""
        backend = self.conf.result_backend or ""
        return place(backend) == place(publisher.broker_url(self))

    @cached_property
    def results_by_backend(self) -> bool:
        """Whether only Celery's backend can write a result that no worker made: elsewhere, or not as plain JSON."""
        if isinstance(self.backend, DisabledBackend):
            return False
        return not (self.results_as_json and self.results_in_ledger) or bool(getattr(self.backend, "compression", None))

    @cached_property
    def results_as_json(self) -> bool:
        """Whether Celery's results are kept, as JSON."""
        return not isinstance(self.backend, DisabledBackend) and self.backend.content_type == "application/json"

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Every publish passes here: check the input, give the run its id, and let the row come first.

        Raises:
            BadInput: the input does not fit; nothing was planned or sent.
            KeyConflict: the idempotency key was used with another input.
            BadUsage: its id has a run already, in another chain or chord.
            LedgerFull, LedgerUnavailable: nothing was planned.
            BadSetting: the app has what guard cannot keep.
        """
        task = self.tasks.get(name)
        if not isinstance(task, ReliableTask) or self.conf.task_always_eager:
            if unkept := {"key", "unique_for"} & options.keys():
                raise BadUsage(f"{name!r} is not guarded here, so it takes no {unkept.pop()}")
            return self._send_unguarded(name, args, kwargs, options)
        self.ledger  # noqa: B018  it says first what of this app cannot be kept
        checked = task.contract.check(tuple(args or ()), dict(kwargs or {}))
        if options.get("ignore_result") is None:  # by name; its message says it from now on
            options["ignore_result"] = bool(task.ignore_result)
        call = called(task, checked, options)
        run_id = call.new.run_id
        if task.contract.secrets:
            options["headers"] = {**(options.get("headers") or {}), SECRETS: list(task.contract.secrets)}
        for kind in options.keys() & {"link", "link_error"}:
            options[kind] = [signatures.frozen(self, link) for link in signatures.listed(options[kind])]
        result = super().send_task(
            name, checked.args, checked.kwargs, task_id=run_id,
            **{**options, **shown(task, checked), OPTION: call},
        )  # fmt: skip
        if call.planned and not call.planned.created:
            reused.refuse(self, call.planned.run_id, options)
        first = call.planned.run_id if call.planned else run_id
        return result if first == result.id else type(result)(first)

    def _send_unguarded(self, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Whatever goes on as such a task, because it was replaced by it, ends with its message."""
        run_id = str(options.get("task_id") or "")
        replaces = options.get("replaced_task_nesting") and not self.conf.task_always_eager
        if not (run_id and replaces and self.ledger.waits(run_id)):
            return super().send_task(name, args, kwargs, **options)
        self.ledger.plan([NewRun(run_id, name, self.release, unguarded=True)])
        sent = super().send_task(name, args, kwargs, **options)
        self.ledger.sent([run_id])
        return sent

    def _connection(self, *where: Any, transport_options: Any = None, **options: Any) -> Any:
        """An app that has options of its own for its broker keeps them; what it leaves out stays guarded."""
        merged = {**SOCKETS, **self.conf.broker_transport_options, **(transport_options or {})}
        return super()._connection(*where, transport_options=merged, **options)

    def connection_for_write(self, *args: Any, **options: Any) -> Any:
        """A connection for publishing; `celery purge` asks for one too."""
        if purge.is_under_way():
            purge.tell(self)
        return super().connection_for_write(*args, **options)

    def _task_from_fun(
        self, fun: Any, name: str | None = None, base: Any = None, bind: bool = False, **options: Any
    ) -> Any:
        if name == ACCUMULATE:  # the body of a chord that a group becomes
            options = {**SAID_OF_IT, **options}
        elif (name or "").startswith("celery."):  # Celery's own: backend_cleanup, chord_unlock and the like
            base = Task
        guarded = self.guards and base is not Task
        if guarded:
            base = guarded_class(base or self.Task)
            check_options(name or fun.__name__, base, options)
            if options.get("confirm"):
                options["confirm"] = staticmethod(options["confirm"])
            if "Request" in options:
                options["Request"] = guarded_request(options["Request"])
            if options.get("typed", typed(base, self)):
                options.setdefault("typing", False)  # the contract checks the input, and says more
        task = super()._task_from_fun(fun, name=name, base=base, bind=bind, **options)
        if guarded:
            type(task).start_with_body()
            check_fields(task.name, task.run)
        if guarded and hasattr(task, "rollback"):
            check_hook(task.name, task.run, task.rollback, own=1)
        if guarded and task.lock:
            task.contract.check_template(task.lock)
        return task

    def register_task(self, task: Any, **options: Any) -> Any:
        """A task that is a class is guarded too."""
        made = task() if isinstance(task, type) else task
        if self.guards:
            made.__class__ = guarded_class(type(made))
        return super().register_task(made, **options)

    def create_task_cls(self) -> Any:
        """The class of this app's tasks: the app's own, such as Django's or Flask's, with ours mixed in."""
        if not self.guards:
            return super().create_task_cls()
        return self.subclass_with_self(
            guarded_class(self.task_cls), name="Task", attribute="_app", keep_reduce=True, abstract=True
        )

    def _get_backend(self) -> Any:
        backend, url = backends.by_url(self.backend_cls or self.conf.result_backend, self.loader)
        return with_ledger(backend)(app=self, url=url)


def guard(
    existing: Celery, *, strict: bool = False, typed: bool = False, deployment: Deployment | None = None
) -> Celery:
    """Make the tasks of an existing app guarded.

    Call it right after the app is made, before its tasks are declared. The app's own task class, and a class that a
    task names as `base=`, are kept and mixed in. Tasks that name `base=celery.Task` stay as they are and keep working
    beside the guarded ones.

    Args:
        existing: the app; its broker must be Redis.
        typed: annotations are law: input and result are checked by them. A task says otherwise with `typed=`.
        strict: refuse tasks without owner, expected result and rollback (`contract.complete`).
        deployment: commands, checks and schedules that come with it.

    Returns:
        The same app.

    Raises:
        BadDeclaration: the app has made its tasks already.
    """
    if existing.finalized or isinstance(existing, GuardedApp):
        raise BadDeclaration(
            "guard() came too late for this app",
            expected="a call right after Celery(...), before its tasks are used",
            given="an app that is guarded or finalized already",
        )
    give_ledger(existing)
    existing.guards, existing.strict, existing.typed = True, strict, typed
    existing.deployment = deployment or Deployment()
    worker_step.install(existing)
    return existing


def give_ledger(existing: Celery) -> None:
    """Give an app the ledger and its publisher. Its tasks stay what they are: for beat, this is enough."""
    existing.__class__ = type(f"Guarded{type(existing).__name__}", (GuardedApp, type(existing)), {})
    existing.guards = False
    if existing.amqp_cls == Celery.amqp_cls:
        existing.amqp_cls = AMQP
    else:
        existing.amqp_cls = type("GuardedAMQP", (publisher.LedgerAMQP, symbol_by_name(existing.amqp_cls)), {})
    existing.__dict__.pop("amqp", None)
    if existing.control_cls == Celery.control_cls:  # else it is the app's own
        existing.control_cls = CONTROL
        existing.__dict__.pop("control", None)
    existing.add_defaults(lambda: {**CONSUMING, **CONNECTING})


def place(url: str) -> tuple[Any, ...] | None:
    """Where a Redis URL points: host, port and database, or socket and database; None for anything else."""
    if sentinel.is_sentinel(url):
        address = sentinel.parse(url)
        return *address.hosts, address.database
    if not url.startswith("redis"):
        return None
    if url.startswith("redis+socket://"):
        split = urlsplit(url)
        return split.path, dict(parse_qsl(split.query)).get("virtual_host", "0").strip("/") or "0"
    parts = parse_url(url)
    return parts["hostname"], parts["port"] or 6379, str(parts["virtual_host"] or "0").strip("/") or "0"


def create_app(deployment: Deployment | None = None) -> GuardedApp:
    """A guarded app, configured by the settings: the engine's own tasks, the deployment's, and those of `ANP_TASKS`.

    Args:
        deployment: what it adds to the engine.

    Returns:
        The app, which has become Celery's current one.
    """
    made = GuardedApp(MAIN, amqp=AMQP, control=CONTROL, set_as_current=True)
    made.deployment = deployment or Deployment()
    made.add_defaults(lambda: configuration(settings(), made.deployment))
    worker_step.install(made)
    return made
