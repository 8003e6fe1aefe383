"""Logs: UTC, one line a record, with the run id where there is one; JSON in production.

Every line, whoever wrote it, is cleared of secrets: logins and tokens in addresses, and the values of the secret input
of the run that wrote it. Limit: as redaction.py says; one that is written in pieces passes.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

from celery_anp.redaction import cleared, secrets_of
from celery_anp.settings import Settings, settings

#: Chatty at INFO, and nothing in it that the ledger does not know better.
QUIET = ("httpx", "httpcore", "tornado.access", "celery.app.trace", "celery.worker.strategy")


class _RunId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.run_id = getattr(getattr(_current_task(), "request", None), "id", None)
        return True


class ReadableFormatter(logging.Formatter):
    """For people: time, level, logger, message, run id."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        line = super().formatMessage(record)
        run_id = getattr(record, "run_id", None)
        return f"{line} [{run_id}]" if run_id else line

    def format(self, record: logging.LogRecord) -> str:
        return _clear(super().format(record))


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line; further fields of `extra=` that JSON knows are kept."""

    _standard: ClassVar[frozenset[str]] = frozenset(
        {*vars(logging.makeLogRecord({})), "message", "asctime", "run_id", "taskName"}
    )

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": _clear(record.getMessage()),
            "run_id": getattr(record, "run_id", None),
        }
        if record.exc_info:
            entry["error"] = _clear(self.formatException(record.exc_info))
        further = {name: value for name, value in vars(record).items() if name not in self._standard}
        entry.update(_plain(further))
        return json.dumps(entry, ensure_ascii=False)


def _current_task() -> Any:
    """The task that runs here; of a process that has not loaded Celery, none: a command must not load it to log."""
    state = sys.modules.get("celery._state")
    return state.get_current_task() if state else None


def _clear(text: str) -> str:
    return cleared(text, values=secrets_of(_current_task()))


def _plain(value: Any) -> Any:
    """As JSON has it, cleared piece by piece: a secret may be a word of JSON itself."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else _clear(str(value))


def setup(chosen: Settings | None = None) -> None:
    """Send every log record of this process to stderr, in our form.

    Args:
        chosen: the settings to follow; None reads this process's.
    """
    chosen = chosen or settings()
    handler = logging.StreamHandler()
    handler.addFilter(_RunId())
    handler.setFormatter(JsonFormatter() if chosen.env == "production" else ReadableFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(chosen.log_level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def take_over() -> None:
    """Let Celery's processes log as we do: to be called once, where the app is made."""
    from celery import signals

    signals.setup_logging.connect(_on_setup_logging, dispatch_uid="celery_anp.log")


def _on_setup_logging(loglevel: int | str | None = None, **_: object) -> None:
    setup()
    if loglevel not in {None, logging.WARNING, "WARNING", "WARN"}:  # those are Celery's own default
        logging.getLogger().setLevel(loglevel or settings().log_level)
