"""NDJSON: one JSON object a line. A line that is broken is one bad row; the next one begins anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

from worker.site.importing.records import Layout, Record, lines


def records(file: IO[bytes], layout: Layout, limit: int) -> Iterator[Record]:
    """The records of an NDJSON file.

    Args:
        file: at its beginning.
        layout: names of the fields.
        limit: bytes of one line.

    Raises:
        LimitExceeded: a line is longer.
    """
    for number, line in lines(file, limit):
        text = line.strip()
        if number == 1:
            text = text.removeprefix(b"\xef\xbb\xbf")
        if text:
            yield _record(number, text, layout)


def _record(number: int, text: bytes, layout: Layout) -> Record:
    try:
        found = json.loads(text.decode())
    except UnicodeDecodeError as error:
        return Record(number, None, f"not UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        return Record(number, None, f"not JSON: {error.msg} at column {error.colno}")
    except (RecursionError, ValueError):  # a number of 5,000 digits, for one
        return Record(number, None, "not JSON that can be read: too deep, or a number too long")
    if not isinstance(found, dict):
        return Record(number, None, f"a {type(found).__name__}, not an object with fields")
    return Record(number, layout.renamed(found))
