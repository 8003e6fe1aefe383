"""Reads [[schedule]] entries from files. What an entry means is not decided here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery_anp.beat.problem import Problem, shown
from celery_anp.errors import did_you_mean

#: What a file says that is to have no schedules.
ON_PURPOSE = "`schedules = []` where there are to be none"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as someone wrote it, with where it stands."""

    #: The file, or `beat_schedule`.
    file: str
    #: Its name, or its place in the file.
    label: str
    #: Keys and values, unchecked.
    raw: dict[str, Any]
    #: False: read from `beat_schedule`, where owner and the like are not asked for.
    declared: bool = True


@dataclass(frozen=True, slots=True)
class Nothing:
    """A file that says that it has no schedules: `schedules = []`."""

    file: str


def files(paths: Sequence[Path]) -> Iterator[Path | Problem]:
    """The files that hold schedules.

    Args:
        paths: files and folders; a folder stands for its *.toml.

    Yields:
        Each file once, in the order given; a problem for a path that has none.
    """
    seen: set[Path] = set()
    for path in paths:
        found = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not found:
            yield Problem(str(path), "", "the folder has no schedules", expected="at least one .toml file", lost=True)
        yield from (file for file in found if file.resolve() not in seen)
        seen.update(file.resolve() for file in found)


def read(file: Path) -> Iterator[Entry | Nothing | Problem]:
    """The entries of one file.

    Args:
        file: a TOML file.

    Yields:
        Each entry; a problem for each thing that is not one, and for a file of no bytes: nobody means that.
    """
    try:
        text = file.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        gone, expected = isinstance(error, FileNotFoundError), "a file or folder of schedules"
        yield Problem(str(file), "", f"cannot be read: {error.strerror}", expected=expected, lost=gone)
        return
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        yield Problem(str(file), "", "is not TOML", expected="TOML in UTF-8", given=str(error))
        return
    if not text:
        yield Problem(str(file), "", "has no bytes", expected=f"[[schedule]] entries, or {ON_PURPOSE}", lost=True)
    yield from _entries(str(file), tables)


def _entries(file: str, tables: dict[str, Any]) -> Iterator[Entry | Nothing | Problem]:
    if tables in ({"schedules": []}, {"schedule": []}):
        yield Nothing(file)
        return
    if tables.get("schedules") == []:
        yield Problem(file, "", "says schedules = [] beside others", expected=f"entries, or only {ON_PURPOSE}")
        return
    for key in tables.keys() - {"schedule"}:
        hint = did_you_mean(key, ["schedule"])
        yield Problem(file, "", f"{key} is not known here.{hint}", expected="only [[schedule]] entries")
    listed = tables.get("schedule", [])
    if not isinstance(listed, list):
        yield Problem(file, "", "[schedule] is one table", expected="[[schedule]], with double brackets")
        return
    for place, raw in enumerate(listed, start=1):
        if isinstance(raw, dict):
            yield Entry(file, str(raw.get("name") or f"#{place}"), raw)
        else:
            yield Problem(file, f"#{place}", "is not a table", expected="[[schedule]]", given=shown(raw))
