"""The Celery app, and `guard`: what makes an app's tasks guarded."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from celery import Celery, Task
from celery.app import backends
from kombu.utils.url import parse_url

from worker import bootstep, enqueue, links, publisher
from worker.configuration import CONNECTING, CONSUMING, SOCKETS, configuration
from worker.errors import BadDeclaration, BadUsage, did_you_mean
from worker.reliability import sentinel
from worker.reliability.ledger import Ledger
from worker.resent import SentChains
from worker.results import with_ledger
from worker.settings import Settings, settings
from worker.task import ReliableTask

#: Options that Celery reads from the decorator without their being attributes of Task.
CELERY_OPTIONS = frozenset({
    "autoretry_for", "dont_autoretry_for", "retry_kwargs", "retry_backoff", "retry_backoff_max", "retry_jitter",
    "shared", "lazy", "filter",
})  # fmt: skip
#: Runs that may wait for one lock.
MOST_WAITING = 1_000_000


class GuardedApp(Celery):
    """A Celery app whose tasks are guarded: every publish passes the ledger first."""

    #: Whether a task must say who owns it, what it expects and how it is undone.
    strict = True
    #: Whether the schedules shipped with anp are its own where ANP_SCHEDULES names none.
    ships_schedules = False

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger on this app's broker."""
        return Ledger.connect(settings(), publisher.broker_url(self))

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
    def sent_chains(self) -> SentChains:
        """What this process has sent of chains."""
        return SentChains(self)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Every publish passes here: check the input, give the run its id, and let the row come first.

        Raises:
            BadInput: the input does not fit; nothing was planned or sent.
            KeyConflict: the idempotency key was used with another input.
            LedgerFull, LedgerUnavailable: nothing was planned.
        """
        task = self.tasks.get(name)
        if not isinstance(task, ReliableTask) or self.conf.task_always_eager:
            if unkept := {"key", "unique_for"} & options.keys():
                raise BadUsage(f"{name!r} is not guarded here, so it takes no {unkept.pop()}")
            return super().send_task(name, args, kwargs, **options)
        checked = task.contract.check(tuple(args or ()), dict(kwargs or {}))
        drafted = enqueue.draft(task, checked, options)
        headers = {**(options.pop("headers", None) or {}), enqueue.DRAFT: drafted}
        if task.contract.secrets:
            headers["anp_secret"] = list(task.contract.secrets)
        tail = self.sent_chains.refuse(drafted.new.run_id, options)
        for kind in options.keys() & {"link", "link_error"}:
            options[kind] = [links.frozen(self, link) for link in links.listed(options[kind])]
        result = super().send_task(
            name, checked.args, checked.kwargs, task_id=drafted.new.run_id, headers=headers,
            **{**options, **enqueue.shown(task, checked)},
        )  # fmt: skip
        self.sent_chains.remember(tail, drafted.new.run_id)
        return result if drafted.first in (None, result.id) else type(result)(drafted.first)

    def _connection(self, *where: Any, transport_options: Any = None, **options: Any) -> Any:
        """An app that has options of its own for its broker keeps them; what it leaves out stays guarded."""
        merged = {**SOCKETS, **self.conf.broker_transport_options, **(transport_options or {})}
        return super()._connection(*where, transport_options=merged, **options)

    def _task_from_fun(
        self, fun: Any, name: str | None = None, base: Any = None, bind: bool = False, **options: Any
    ) -> Any:
        if (name or "").startswith("celery."):  # Celery's own: backend_cleanup, chord_unlock and the like
            base = Task
        guarded = issubclass(base or self.Task, ReliableTask)
        if guarded:
            check_options(name or fun.__name__, base or self.Task, options)
            if options.get("confirm"):
                options["confirm"] = staticmethod(options["confirm"])
        task = super()._task_from_fun(fun, name=name, base=base, bind=bind, **options)
        if guarded and task.lock:
            task.contract.check_template(task.lock)
        return task

    def _get_backend(self) -> Any:
        backend, url = backends.by_url(self.backend_cls or self.conf.result_backend, self.loader)
        return with_ledger(backend)(app=self, url=url)


def guard(existing: Celery, *, strict: bool = False) -> Celery:
    """Make the tasks of an existing app guarded.

    Call it right after the app is made, before its tasks are declared. Tasks that name `base=celery.Task` stay as they
    are and keep working beside the guarded ones.

    Args:
        existing: the app; its broker must be Redis.
        strict: refuse tasks without owner, expected result and rollback (`check_tasks`).

    Returns:
        The same app.

    Raises:
        BadDeclaration: the app has made its tasks already, or has a task class of its own.
    """
    if existing.finalized or isinstance(existing, GuardedApp):
        raise BadDeclaration(
            "guard() came too late for this app",
            expected="a call right after Celery(...), before its tasks are used",
            given="an app that is guarded or finalized already",
        )
    if existing.task_cls != Celery.task_cls:
        raise BadDeclaration(
            "This app has a task class of its own",
            expected=f"one that derives from {ReliableTask.__module__}.ReliableTask",
            given=str(existing.task_cls),
        )
    give_ledger(existing)
    existing.strict = strict
    existing.task_cls = ReliableTask
    bootstep.install(existing)
    return existing


def give_ledger(existing: Celery) -> None:
    """Give an app the ledger and its publisher. Its tasks stay what they are: for beat, this is enough."""
    existing.__class__ = type(f"Guarded{type(existing).__name__}", (GuardedApp, type(existing)), {})
    existing.amqp_cls = "worker.publisher:LedgerAMQP"
    existing.__dict__.pop("amqp", None)
    existing.add_defaults(lambda: {**CONSUMING, **CONNECTING})


def check_options(name: str, base: type, options: dict[str, Any]) -> None:
    """Refuse an option of the task decorator that nobody would read; Celery swallows it."""
    known = {option for option in dir(base) if not option.startswith("_")} | CELERY_OPTIONS
    for option in options:
        if not option.startswith("_") and option not in known:
            raise BadDeclaration(
                f"Task {name!r} has an unknown option {option!r}.{did_you_mean(option, known)}",
                expected="an option of Celery's tasks, or owner, expects, lock, overlap, limit, retries, confirm, "
                "no_rollback",
            )
    if options.get("overlap") not in (None, "skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"):
        raise BadDeclaration(
            f"Task {name!r} has an unknown overlap policy",
            expected="skip, buffer_one, buffer_all, cancel_other or allow_all",
            given=repr(options["overlap"]),
        )
    limit = options.get("limit", 1)
    if type(limit) is not int or not 1 <= limit <= MOST_WAITING:
        raise BadDeclaration(
            f"Task {name!r} has a limit that cannot be used",
            expected=f"a whole number of runs that may wait for its lock, from 1 to {MOST_WAITING:,}",
            given=repr(limit),
        )


def guarded_tasks(of: Celery) -> dict[str, ReliableTask]:
    """The guarded tasks of an app by name, with all its task modules loaded."""
    of.loader.import_default_modules()
    of.finalize()
    return {name: task for name, task in sorted(of.tasks.items()) if isinstance(task, ReliableTask)}


def check_tasks(of: Celery) -> None:
    """Refuse tasks that do not say who owns them, what they expect, and how they are undone.

    Raises:
        BadDeclaration: names every task and what it lacks.
    """
    lacking = [
        f"{task.name}: {', '.join(missing)}" for task in guarded_tasks(of).values() if (missing := _missing(task))
    ]
    if lacking and getattr(of, "strict", False):
        raise BadDeclaration(
            "Tasks do not say what they must: " + "; ".join(lacking),
            expected="owner, expects, and a rollback hook (@task.on_rollback) or no_rollback with the reason",
        )


def _missing(task: ReliableTask) -> list[str]:
    missing = [name for name in ("owner", "expects") if not getattr(task, name)]
    return missing if task.has_rollback or task.no_rollback else [*missing, "a rollback hook or no_rollback"]


def place(url: str) -> tuple[Any, ...] | None:
    """Where a Redis URL points: host, port and database; None for anything else."""
    if sentinel.is_sentinel(url):
        address = sentinel.parse(url)
        return *address.hosts, address.database
    if not url.startswith("redis"):
        return None
    parts = parse_url(url)
    return parts["hostname"], parts["port"] or 6379, str(parts["virtual_host"] or "0").strip("/") or "0"


def create_app(known: Settings | None = None) -> GuardedApp:
    """Our own app: the shipped tasks and those of `ANP_TASKS`.

    Args:
        known: settings to use instead of the environment's.

    Returns:
        A guarded app.
    """
    made = GuardedApp("anp", task_cls=ReliableTask, amqp="worker.publisher:LedgerAMQP", set_as_current=True)
    made.ships_schedules = True
    made.add_defaults(lambda: configuration(known or settings()))
    bootstep.install(made)
    return made


app = create_app()

__all__ = ["GuardedApp", "Task", "app", "check_tasks", "create_app", "guard", "guarded_tasks"]
