"""`python -m tests.bench [names…] [--quick]`: run the benchmarks, all without names, and print one table."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from tests.bench.place import prepared
from tests.bench.table import Line, show

NAMES = (
    "startup", "hops", "enqueue", "drain", "commands", "memory", "rows", "recovery", "lateness", "beat", "clear",
    "imports",
)  # fmt: skip


def main() -> int:
    """Run what is asked for.

    Returns:
        The exit code: 0; a missed target is a line of the table, not a failure.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and nothing larger than 100,000 rows")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    lines: list[Line] = []
    try:
        with prepared(asked.quick) as place:
            for name in asked.names or NAMES:
                busy = os.getloadavg()[0]
                print(f"{name} … (load {busy:.1f} on {os.cpu_count()} cores)", file=sys.stderr, flush=True)
                lines += importlib.import_module(f"tests.bench.{name}").lines(place)
    finally:
        print(show(lines))  # what was measured before one of them failed, too
    return 0


if __name__ == "__main__":
    sys.exit(main())
