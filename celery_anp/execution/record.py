"""What is kept of how an attempt ended: the row's words for it, and Celery's record.

An error may refuse to be told, encoded or rebuilt; then a sentence stands in its place (`wording`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import celery.app.task
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from kombu.utils import json

from celery_anp.canvas import links
from celery_anp.contract.declaration import DeclaredTask
from celery_anp.errors import BodyExited, LimitExceeded, RunEnded
from celery_anp.redaction import cleared, secrets_of
from celery_anp.security import ERROR_LIMIT, RESULT_BEGINNING, RESULT_LIMIT, ROW_RESULT_LIMIT
from celery_anp.sending.message import STAMP
from celery_anp.wording import cut, name_of, shown, speaks, trace, words

log = get_task_logger(__name__)

#: Whether a message says that its result is kept only where its call says so; older producers say it of every one.
CALLS_SAY_IT = hasattr(celery.app.task, "get_actual_ignore_result")


def tellable(error: BaseException) -> Exception:
    """An error as Celery can be told it: itself, or what stands for it.

    Celery hands an error on to handlers, signals, logs and the caller of `.get()`: one that is none of `Exception`'s
    would end each of them in turn.
    """
    if not isinstance(error, Exception):
        return BodyExited(_exit(error))
    if not speaks(error):
        return RunEnded(words(error, ERROR_LIMIT))
    return error


def _exit(error: BaseException) -> str:
    if not isinstance(error, SystemExit):
        said = words(error, ERROR_LIMIT)
        return f"The body was left by {name_of(error)}" + (f": {said}" if said else "")
    code = 0 if error.code is None else error.code
    if isinstance(code, int):
        return f"The body asked its process to exit with code {words(code, ERROR_LIMIT)}"
    return f"The body asked its process to exit with code 1: {words(code, ERROR_LIMIT)}"


def told_trace(task: DeclaredTask, error: BaseException) -> str:
    """The end of an error's traceback, without the secrets of a task that runs here."""
    return cleared(trace(error, ERROR_LIMIT), values=secrets_of(task))


def described(task: DeclaredTask, error: BaseException) -> str:
    """An error as its row keeps it: JSON.

    Args:
        task: whose secrets are kept out; its request is the current one.
        error: what the body raised.
    """
    try:
        safe = getattr(error, "retry_safe", None)
    except Exception:
        safe = None
    return json.dumps({
        "type": name_of(error), "message": cleared(words(tellable(error), ERROR_LIMIT), values=secrets_of(task)),
        "traceback": told_trace(task, error),
        "retry_safe": safe if isinstance(safe, bool) else None,
    })  # fmt: skip


def is_ignored(task: DeclaredTask) -> bool:
    """Whether Celery keeps no record of the current request: as its message says, else as its task does."""
    said = vars(task.request).get("ignore_result")
    if said is False and not CALLS_SAY_IT and not getattr(task.request, STAMP, None):
        said = None
    return bool(task.ignore_result if said is None else said)


def is_kept_as_json(task: DeclaredTask) -> bool:
    """Whether Celery's record of the current request holds its result as JSON."""
    return bool(task.app.results_as_json) and not is_ignored(task)


def of_row(result: Any) -> tuple[str, bool]:
    """A result as its row keeps it.

    Args:
        result: what the body returned.

    Returns:
        JSON, and whether that is all of it: of what is too large it is the beginning, of what is no JSON some words.
    """
    try:
        text = json.dumps(result)
    except SoftTimeLimitExceeded:
        raise
    except Exception:  # of any kind: a value's own, or of one that holds itself
        return json.dumps(shown(result, RESULT_BEGINNING)), False
    if len(text) <= ROW_RESULT_LIMIT:
        return text, True
    return json.dumps(cut(text, RESULT_BEGINNING) + "…"), False


def succeeded(task: DeclaredTask, result: Any, following: Mapping[str, Any]) -> bytes:
    """Celery's record of a result, as its backend would store it once what follows is sent: of any encoding.

    Args:
        task: its request is the current one.
        result: what the body returned.
        following: what follows it, as `links.links_of` says.

    Returns:
        The record; empty where none is kept, or the backend keeps it elsewhere. Of a result that is too large it is an
        error that says so: whoever waits would take anything else for the result.

    Raises:
        Exception: of any kind: the backend cannot encode the result.
    """
    if is_ignored(task):
        return b""
    if not task.meta_key(task.request.id):
        if task.app.results_by_backend:
            task.backend.encode(result)  # that it can is known before the run has succeeded
        return b""
    children = links.children(task.app, following)
    made = _meta(task, result, "SUCCESS", None, children)
    if len(made) <= RESULT_LIMIT:
        return made
    large = LimitExceeded(
        f"{task.request.id} has succeeded, but its result is too large to be kept",
        expected=f"at most {RESULT_LIMIT} bytes",
        given=f"{len(made)} bytes",
    )
    return _meta(task, task.backend.encode_result(large, "FAILURE"), "FAILURE", None, children)


def stored(task: DeclaredTask) -> bytes | None:
    """Celery's record that the body has stored itself; empty where only its backend has it, None where it is gone."""
    if not task.meta_key(task.request.id):
        return b""
    try:
        kept: bytes | None = task.backend.get(task.backend.get_key_for_task(task.request.id))
    except Exception as error:
        log.warning("what %s has stored itself cannot be read: %s", task.request.id, words(error, ERROR_LIMIT))
        return None
    return kept


def failed(task: DeclaredTask, error: BaseException, status: str = "FAILURE") -> bytes:
    """Celery's record of an error; its size is limited as the row's is.

    Args:
        task: its request is the current one.
        error: what the body raised.
        status: `FAILURE` or `RETRY`.

    Returns:
        The record; empty where none is kept, or it cannot be made: the ledger makes a plain one then.
    """
    if is_ignored(task) or not task.meta_key(task.request.id):
        return b""
    try:
        stored = task.backend.limited(tellable(error), status)
        return _meta(task, stored, status, told_trace(task, error), [])
    except Exception as refused:
        log.warning("Celery's record of how %s ended is a plain one: %s", task.request.id, words(refused, ERROR_LIMIT))
        return b""


def _meta(task: DeclaredTask, result: Any, status: str, traceback: str | None, children: list[Any]) -> bytes:
    request = task.request
    meta = task.backend._get_result_meta(result=result, state=status, traceback=traceback, request=request)
    meta["task_id"] = request.id
    meta["children"] = [*(meta.get("children") or ()), *children]
    encoded = task.backend.encode(meta)
    return encoded if isinstance(encoded, bytes) else str(encoded).encode()
