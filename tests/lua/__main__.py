"""Look through every script of the ledger: `python -m tests.lua`."""

from __future__ import annotations

import sys

from tests.lua.findings import findings
from tests.lua.scripts import names

if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or f"{len(names())} scripts: no global, no unread name, each as its header says")
    sys.exit(bool(found))
