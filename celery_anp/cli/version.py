"""`anp --version`."""

from __future__ import annotations

import sys
from importlib.metadata import version


def tell() -> None:
    """Print the version of what is installed."""
    sys.stdout.write(f"anp {version('celery-anp')}\n")
