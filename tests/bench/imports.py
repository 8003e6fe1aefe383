"""Rows a second and memory of an import, beside the database's own bulk load of the same posts.

The bulk load writes `wp_posts` and nothing else, from columns that are made ready for it. An import reads and checks
each row twice, looks for it, writes its post, tags and source row, and what a rollback and the cache need.
Each measurement is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.place import Place
from tests.bench.table import Line
from tests.support import feed
from tests.support.mariadb import MariaDB, missing

ROWS, FEW = 100_000, 10_000


def lines(place: Place) -> list[Line]:
    """For each database: a first import, one that changes nothing, and the memory of a large and a small one."""
    count = place.either(2 * FEW, ROWS)
    found = _of(place.folder, "SQLite", count, lambda name: f"sqlite:///{place.folder / name}.sqlite3")
    if missing():
        print(f"imports: {missing()}", file=sys.stderr)
        return found
    with _mariadb() as server:
        return found + _of(place.folder, "MariaDB", count, lambda _: server.database())


@contextmanager
def _mariadb() -> Iterator[MariaDB]:
    with tempfile.TemporaryDirectory(prefix="anp-db-") as folder, MariaDB(Path(folder)) as server:
        yield server


def _of(folder: Path, kind: str, count: int, fresh: Callable[[str], str]) -> list[Line]:
    large, small = folder / f"feed-{count}", folder / f"feed-{FEW}"
    for path, rows in ((large, count), (small, FEW)):
        if not path.exists():
            feed.ndjson(path, feed.rows(rows))
    url = fresh("large")
    first = _measured("import", url, large)
    again = _measured("import", url, large)
    few = _measured("import", fresh("small"), small)
    bulk = _measured("bulk", fresh("bulk"), large)
    against = "LOAD DATA LOCAL INFILE" if kind == "MariaDB" else "executemany, one transaction"
    rate, theirs = count / first["seconds"], count / bulk["seconds"]
    return [
        Line(f"{kind}: import of {count:,} new rows", rate, theirs, "rows/s", against),
        Line(f"{kind}: import of the same rows again", count / again["seconds"], unit="rows/s"),
        Line(
            f"{kind}: memory that an import of {count:,} rows adds", first["grown"], few["grown"], "MiB",
            f"with {FEW:,} rows", better="smaller",
        ),
    ]  # fmt: skip


def _measured(how: str, url: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.import_once", how, url, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))
