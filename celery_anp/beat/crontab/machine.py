"""What cron takes from the machine it runs on: the zone of its clock, and the folder that a user's jobs start in."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from celery_anp.beat import zone as zones
from celery_anp.settings import environment


def zone(etc: Path = Path("/etc")) -> str | None:
    """The zone of this machine's clock.

    Args:
        etc: where the machine says so, if TZ does not.

    Returns:
        An IANA name; None where the clock has one that nobody named.
    """
    clock = etc / "localtime"
    target = str(clock.readlink()) if clock.is_symlink() else ""
    written = (etc / "timezone").read_text(encoding="utf-8") if (etc / "timezone").is_file() else ""
    unset = "" if clock.exists() else "UTC"  # as the C library reads it
    said = (environment().get("TZ", "").removeprefix(":"), target.partition("zoneinfo/")[2], written.strip(), unset)
    return next((name for name in said if name and _known(name)), None)


def _known(name: str) -> bool:
    try:
        zones.named(name)
    except ValueError:
        return False
    return True


def home(user: str) -> str | None:
    """The folder that cron starts a user's jobs in.

    Args:
        user: a name; empty for the user of this process.

    Returns:
        The folder; None where this machine does not know the user.
    """
    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        return None
