"""One import or one bulk load, in this process: seconds, and the MiB by which the process grew."""

from __future__ import annotations

import csv
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import make_url

from tests.support import feed
from worker.site import database
from worker.site.importing import chunks, columns, reading, tables
from worker.site.importing.reading import Manner
from worker.site.importing.rows import Row
from worker.site.posts import utc_now
from worker.site.tables import posts

NAMES = (*columns.WRITTEN, "to_ping", "pinged", "post_content_filtered")


def main(how: str, url: str, path: str) -> None:
    """Prepare, measure, print."""
    engine = database.engine(url)
    if not database_is_filled(engine):
        feed.site(url, 10)
    tables.prepare(engine)
    ready = bulk_ready(url, Path(path)) if how == "bulk" else None
    before, began = _peak(), time.perf_counter()
    if ready is None:
        _import(engine, Path(path))
    else:
        ready()
    print(json.dumps({"seconds": time.perf_counter() - began, "grown": _peak() - before}))


def database_is_filled(engine: Any) -> bool:
    """Whether the site is there already."""
    from sqlalchemy import inspect

    return bool(inspect(engine).has_table(posts.name))


def _import(engine: Any, path: Path) -> None:
    manner = Manner("ndjson")
    with path.open("rb") as file:
        reading.look_over(file, manner, lambda: None)
        job = chunks.Job(engine, f"bench-{time.time()}", "bench", 1)
        point = chunks.write(job, chunks.begin(job), reading.read(file, manner), lambda _: None)
        chunks.finish(job, point, 30)


def bulk_ready(url: str, path: Path) -> Any:
    """The database's own way, with everything made ready before the clock starts."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        given = list(_rows(path))
        return lambda: _sqlite(str(parsed.database), given)
    file = path.with_suffix(".tsv")
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows(_rows(path))
    return lambda: _mariadb(parsed, file)


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    with path.open("rb") as file:
        for _, row in reading.read(file, Manner("ndjson")):
            assert isinstance(row, Row)
            values = columns.of_row(row, utc_now(), UTC)
            yield tuple(str(values.get(name, "")) for name in NAMES)


def _sqlite(path: str, given: list[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path)
    marks = ", ".join("?" for _ in NAMES)
    with connection:
        connection.executemany(f"INSERT INTO wp_posts ({', '.join(NAMES)}) VALUES ({marks})", given)
    connection.close()


def _mariadb(parsed: Any, file: Path) -> None:
    login = {"host": parsed.host, "port": parsed.port, "user": parsed.username, "password": parsed.password}
    statement = (
        f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE wp_posts CHARACTER SET utf8mb4 "
        f"FIELDS TERMINATED BY '\\t' OPTIONALLY ENCLOSED BY '\"' ({', '.join(NAMES)})"
    )
    with pymysql.connect(**login, database=parsed.database, local_infile=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
