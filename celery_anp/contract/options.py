"""The options of a task's decorator: what nobody would read is refused; Celery swallows it."""

from __future__ import annotations

import inspect
from typing import Any

from celery import Celery, Task
from celery.app.task import extract_exec_options

from celery_anp import bounds
from celery_anp.errors import BadDeclaration, did_you_mean
from celery_anp.reliability.retry import Retries
from celery_anp.wording import shown

#: What Celery reads from the decorator and says nowhere: `add_autoretry_behaviour`, `Celery.task`, `Task.bind`.
UNSAID = frozenset({
    "autoretry_for", "dont_autoretry_for", "retry_kwargs", "retry_backoff", "retry_backoff_max", "retry_jitter",
    "override_max_retries", "shared", "lazy", "filter", "exchange_type",
})  # fmt: skip
#: What a call takes over from its task (queue, routing_key, compression …), what a task takes over from the
#: configuration, and what the decorator itself reads (pydantic …), as the Celery that is installed says it.
CELERY_OPTIONS = (
    UNSAID
    | extract_exec_options(Task).keys()
    | {option for option, _ in Task.from_config}
    | inspect.signature(Celery._task_from_fun).parameters.keys() - {"self", "fun", "options"}
)
#: Options that are seconds.
SECONDS = frozenset({"time_limit", "soft_time_limit", "default_retry_delay"})
#: Of which type an option is, and how a message says it.
KINDS = {
    **dict.fromkeys(("owner", "expects", "no_rollback", "rollback_note", "lock"), (str, "a text")),
    "retries": (Retries, "Retries(max=…)"),
    "priority": (int, "a whole number"),
    "undo_limit": (int, "a whole number of bytes"),
}
#: Runs that may wait for one lock.
MOST_WAITING = 1_000_000


def check_options(name: str, base: type, options: dict[str, Any]) -> None:
    """Refuse an option of the task decorator that nobody would read, which Celery swallows, or that cannot be right.

    Raises:
        BadUsage, BadDeclaration: names the task and the option.
    """
    known = {option for option in dir(base) if not option.startswith("_")} | CELERY_OPTIONS
    for option in options:
        if not option.startswith("_") and option not in known:
            raise BadDeclaration(
                f"Task {name!r} has an unknown option {option!r}.{did_you_mean(option, known)}",
                expected="an option of Celery's tasks, or owner, expects, lock, overlap, limit, retries, confirm, "
                "typed, no_rollback; one of your own is an attribute of a class that the task names as base=",
            )
    bounds.name(name, "The name of a task")
    given = {option: value for option, value in options.items() if value is not None}
    for option in SECONDS & given.keys():
        bounds.seconds(given[option], f"{option} of task {name!r}", least=0)
    for option, (kind, expected) in KINDS.items():
        if option in given and (not isinstance(given[option], kind) or isinstance(given[option], bool)):
            raise BadDeclaration(
                f"{option} of task {name!r} cannot be used", expected=expected, given=shown(given[option])
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
