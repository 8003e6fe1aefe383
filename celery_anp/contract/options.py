"""The options of a task's decorator: what nobody would read is refused; Celery swallows it."""

from __future__ import annotations

from typing import Any

from celery_anp.errors import BadDeclaration, did_you_mean

#: Options that Celery reads from the decorator without their being attributes of Task.
CELERY_OPTIONS = frozenset({
    "autoretry_for", "dont_autoretry_for", "retry_kwargs", "retry_backoff", "retry_backoff_max", "retry_jitter",
    "shared", "lazy", "filter",
})  # fmt: skip
#: Runs that may wait for one lock.
MOST_WAITING = 1_000_000


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
