"""Which Celery app a command is about: `-A`, else ANP_APP, else `app` in [tool.anp] of ./pyproject.toml."""

from __future__ import annotations

import sys
from traceback import walk_tb
from typing import Any

from celery_anp.errors import AnpError, BadUsage
from celery_anp.settings import refuse_unknown, settings


def named() -> str:
    """Its name as `-A` takes it; empty if nothing names one."""
    return settings().app


def chosen() -> Any:
    """The app, imported, with a ledger.

    Raises:
        BadUsage: none is named, or it cannot be imported.
    """
    from celery import Celery
    from celery.app.utils import find_app

    from celery_anp.app import GuardedApp, give_ledger

    name = named()
    if not name:
        raise BadUsage(
            "No Celery app is named",
            expected="-A module, ANP_APP, or app in [tool.anp] of ./pyproject.toml",
            given="none of them",
        )
    try:
        found = find_app(name)
    except AnpError:
        raise
    except Exception as error:  # whatever its module raises, or Celery of a name that is none
        raise BadUsage(
            f"The app {name!r} cannot be imported",
            expected="module or module:attribute, as Celery's -A takes it from this folder",
            given=_wrong(name, error),
        ) from error
    if not isinstance(found, Celery):
        raise BadUsage(f"{name!r} is no Celery app", expected="module or module:attribute", given=type(found).__name__)
    refuse_unknown()
    if not isinstance(found, GuardedApp):
        give_ledger(found)
    found.set_current()
    return found


def _wrong(name: str, error: Exception) -> str:
    """What Celery says, but for a module that is there and has no such app: it then takes the whole for a module."""
    module, _, attribute = name.partition(":")
    if isinstance(error, (ImportError, AttributeError)) and attribute and module in sys.modules:
        return f"{module} has no {attribute!r}"
    return _told(error)


def broker() -> str:
    """The URL of the named app's broker, on which its ledger is."""
    from celery_anp.sending.publisher import broker_url

    return broker_url(chosen())


def _told(error: Exception) -> str:
    """What an import raised; and where, unless it says so itself."""
    if isinstance(error, (ImportError, AttributeError, SyntaxError)):
        return str(error)
    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} ({frame.f_code.co_filename}, line {line})"
