"""Which Celery app a command is about: `-A`, else ANP_APP, else `app` in [tool.anp] of ./pyproject.toml."""

from __future__ import annotations

import sys
from typing import Any

from celery_anp.errors import BadUsage
from celery_anp.settings import refuse_unknown, settings


def named() -> str:
    """Its name as `-A` takes it; empty if nothing names one."""
    return settings().app


def chosen() -> Any:
    """The app, imported, with a ledger.

    Raises:
        BadUsage: none is named, or it cannot be imported.
    """
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
    except (ImportError, AttributeError) as error:
        raise BadUsage(
            f"The app {name!r} cannot be imported",
            expected="module or module:attribute, as Celery's -A takes it from this folder",
            given=_wrong(name, error),
        ) from None
    refuse_unknown()
    if not isinstance(found, GuardedApp):
        give_ledger(found)
    found.set_current()
    return found


def _wrong(name: str, error: Exception) -> str:
    """What Celery says, but for a module that is there and has no such app: it then takes the whole for a module."""
    module, _, attribute = name.partition(":")
    return f"{module} has no {attribute!r}" if attribute and module in sys.modules else str(error)


def broker() -> str:
    """The URL of the named app's broker, on which its ledger is."""
    from celery_anp.sending.publisher import broker_url

    return broker_url(chosen())
