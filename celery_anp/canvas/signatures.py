"""What a canvas is made of: its single tasks, which comes first and last, and their ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from celery.canvas import Signature, chord, maybe_signature

from celery_anp.errors import BadUsage

#: What a link has of the canvas that it was frozen in.
NAMED = frozenset({"task_id", "group_id", "group_index", "chord", "root_id", "parent_id", "reply_to"})


def tasks_of(app: Any, link: Any) -> Iterator[Signature]:
    """The single tasks that a link is made of."""
    signature = maybe_signature(link, app=app)
    if isinstance(signature, chord):
        parts = [*getattr(signature.tasks, "tasks", signature.tasks), signature.body]
    elif signature.subtask_type in ("group", "chain"):
        parts = signature.tasks
    else:
        yield signature
        return
    for part in parts:
        yield from tasks_of(app, part)


def first(app: Any, link: Any) -> Any:
    """A copy of a link, or of the first task of a chain."""
    signature = maybe_signature(link, app=app, clone=True)
    return first(app, signature.tasks[0]) if signature.subtask_type == "chain" else signature


def last(app: Any, link: Any) -> Signature:
    """The task whose result is that of a link."""
    signature = maybe_signature(link, app=app)
    if isinstance(signature, chord):
        return last(app, signature.body)
    return last(app, signature.tasks[-1]) if signature.subtask_type == "chain" else signature


def renewed(link: Any) -> Signature:
    """A copy of a link in which nothing has an id: what is in a canvas gets one when it is sent."""
    signature = maybe_signature(link, clone=True)
    signature.options = {name: value for name, value in signature.options.items() if name not in NAMED}
    kwargs = dict(signature.kwargs)
    for name in {"tasks", "header"} & kwargs.keys():
        if signature.subtask_type in ("group", "chain", "chord") and isinstance(kwargs[name], (list, tuple)):
            kwargs[name] = [renewed(part) for part in kwargs[name]]
    if signature.subtask_type == "chord":
        header = kwargs["header"]
        kwargs["header"] = renewed(header) if isinstance(header, dict) else header
        kwargs["body"] = kwargs["body"] and renewed(kwargs["body"])
    signature.kwargs = kwargs
    return signature


def derived(name: str) -> str:
    """An id that is the same each time."""
    return str(uuid5(NAMESPACE_OID, name))


def frozen(app: Any, link: Any, name: str = "") -> Any:
    """A copy of a link that has an id, so that publishing it twice is one run; the caller's own stays as it is.

    Args:
        app: the guarded app.
        link: a signature, or one as JSON.
        name: what the id is made of, where it must be the same each time.

    Raises:
        BadUsage: it has an idempotency key.
    """
    signature = maybe_signature(link, app=app)
    if isinstance(signature, Signature) and {"key", "unique_for"} & signature.options.keys():
        raise BadUsage(
            f"An idempotency key cannot be used for {signature.task}",
            expected="no id of its own: what follows a run has one that is worked out",
            given=str(signature.options.get("key") or signature.options.get("unique_for")),
        )
    if isinstance(signature, Signature) and not signature.options.get("task_id"):
        signature = signature.clone()
        signature.freeze(derived(name) if name else None)
    return signature


def listed(links: Any) -> list[Any]:
    """Links as Celery takes them: one, some, or none."""
    return list(links) if isinstance(links, list | tuple) else [links] if links else []
