"""A clock that no one sets, and that goes on while the machine sleeps."""

from __future__ import annotations

import time


def boottime() -> float:
    """Seconds since boot, counted while the machine sleeps too where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
