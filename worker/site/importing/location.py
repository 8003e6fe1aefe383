"""Where a source is: a file below the folder of imports, or an https address; opened once, and the same to the end."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from celery_anp.errors import BadSource
from celery_anp.security import IMPORT_FILE_LIMIT
from worker.settings import Settings
from worker.site.importing import download

BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """An open source."""

    file: IO[bytes]
    #: SHA-256 of all of it.
    digest: str
    _state: tuple[int, int]

    def require_unchanged(self) -> None:
        """Refuse to go on with a file that somebody writes.

        Raises:
            BadSource: it was changed since it was opened.
        """
        if _state(self.file) != self._state:
            raise changed()


def changed() -> BadSource:
    """The source is not what this run began with."""
    return BadSource(
        "The source changed while it was imported",
        expected="the same file to the end: write a new one beside it and rename it",
    )


@contextmanager
def opened(location: str, known: Settings, limit: int = IMPORT_FILE_LIMIT) -> Iterator[Opened]:
    """Open a source.

    Args:
        location: a path below the folder of imports, or an https address.
        known: for the folder, and for where a download is put.
        limit: bytes at most.

    Yields:
        The source, at its beginning.

    Raises:
        BadSource: it is not there, not a file, outside the folder, or its address may not be asked.
        LimitExceeded: it is too large.
    """
    if "://" in location:
        with _spool(known) as file:
            try:
                download.fetch(location, file, limit)
                file.flush()
            except OSError as error:
                raise _no_room(error) from None
            yield Opened(file, _digest(file), _state(file))
        return
    with _file(location, folder(known), limit) as file:
        yield Opened(file, _digest(file), _state(file))


def folder(known: Settings) -> Path:
    """The folder with the files that may be imported."""
    return known.imports or known.state / "imports"


def _spool(known: Settings) -> IO[bytes]:
    """A file without a name: it is gone with us, however we end."""
    known.state.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=known.state, prefix="import-")


def _file(location: str, home: Path, limit: int) -> IO[bytes]:
    path = (home / location).resolve()
    if not path.is_relative_to(home.resolve()):
        raise BadSource("The source is outside the folder of imports", expected=f"a file below {home}", given=location)
    try:
        # Not blocking: opening a pipe would wait for its writer for ever.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise BadSource(
            "The source cannot be read", expected=f"a file below {home}", given=f"{location}: {error.strerror}"
        ) from None
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        file.close()
        raise BadSource("The source is no file", expected=f"a file below {home}", given=location)
    if state.st_size > limit:
        file.close()
        raise download.too_large(state.st_size, limit)
    return file


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    found = hashlib.sha256()
    while block := file.read(BLOCK):
        found.update(block)
    return found.hexdigest()


def _state(file: IO[bytes]) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _no_room(error: OSError) -> BadSource:
    return BadSource(
        "The download could not be put on the disk",
        expected="room in the state folder",
        given=str(error.strerror or error),
        retry_safe=True,
    )
