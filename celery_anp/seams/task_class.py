"""A team's task class with ours mixed in: Django's, Flask's, celery-once's, their own.

Theirs comes first: its attributes, hooks and `retry` are kept, and what it calls with `super()` is ours. A class of
theirs with a `__call__` gets one more on top, which begins the run before theirs is called: it may end in `self.run`
or in `super().__call__`, in an app context of Flask's, and cannot go past begin.

Limit: the rollback hook is not called through their `__call__`.
"""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.utils.imports import symbol_by_name

from celery_anp.contract.declaration import DeclaredTask
from celery_anp.seams.request import RunRequest
from celery_anp.task import ReliableTask

#: What of ours only a body uses: where a class of theirs has it, it is theirs.
FOR_BODIES = frozenset({"step", "undo", "progress", "cancelled", "fence", "on_rollback"})
#: What we need ourselves, and is no option that a class may set.
NEEDED = frozenset(
    name
    for ours in (ReliableTask, DeclaredTask)
    for name, value in vars(ours).items()
    if not name.startswith("__") and not hasattr(Task, name) and (callable(value) or isinstance(value, property))
) - FOR_BODIES  # fmt: skip


def guarded_class(theirs: type[Task] | str) -> type[Task]:
    """A task class that is guarded.

    Args:
        theirs: a class of anybody's, or where it is.

    Returns:
        The class itself where ours is in it already and comes first.
    """
    found = symbol_by_name(theirs)
    if issubclass(ReliableTask, found):  # Celery's own
        return ReliableTask
    request = guarded_request(found.Request)
    if issubclass(found, ReliableTask) and _begins(found) and request is found.Request:
        return found
    mixed = found if issubclass(found, ReliableTask) else _made(found, (found, ReliableTask))
    top = mixed if _begins(mixed) else _on_top(mixed)
    return top if request is found.Request else _made(top, (top,), Request=request)


def guarded_request(theirs: type | str) -> type | str:
    """A request class whose end is told to the ledger, and then to theirs.

    Args:
        theirs: a class, or where it is.

    Returns:
        The same where there is nothing to add.
    """
    if theirs in (ReliableTask.Request, Task.Request):
        return ReliableTask.Request
    found = symbol_by_name(theirs)
    return found if issubclass(found, RunRequest) else type(found.__name__, (found, RunRequest), {})


def taken(found: type[Task]) -> list[str]:
    """Names that we need and to which a class of theirs gives another meaning."""
    theirs = (one for one in found.__mro__ if not one.__module__.startswith("celery_anp.") and one is not Task)
    return sorted({name for one in theirs for name in NEEDED & vars(one).keys() if not _is_ours(one)})


def _is_ours(made: type) -> bool:
    return "_begins_first" in vars(made)


def _begins(found: type[Task]) -> bool:
    """Whether the first `__call__` that it has is one of ours."""
    first = next(one for one in found.__mro__ if "__call__" in vars(one))
    return first is ReliableTask or _is_ours(first)


def _on_top(mixed: type[Task]) -> type[Task]:
    class Guarded(mixed):
        abstract = True
        _begins_first = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            request = self.request
            if request.called_directly or request.is_eager or self.anp_attempt:
                return super().__call__(*args, **kwargs)
            return ReliableTask.__call__(self, *args, **kwargs)

        def _body(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    return _named(Guarded, mixed)


def _made(like: type[Task], bases: tuple[type, ...], **attributes: Any) -> type[Task]:
    return _named(type(like.__name__, bases, {"abstract": True, **attributes}), like)


def _named(made: type[Task], like: type[Task]) -> type[Task]:
    made.__name__, made.__qualname__ = like.__name__, like.__qualname__
    made.__module__, made.__doc__ = like.__module__, like.__doc__
    return made
