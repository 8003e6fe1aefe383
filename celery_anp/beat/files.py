"""The schedule files as beat follows them: read at start, read again when one changes or an operator asks.

A set that is broken, or that has lost everything, changes nothing: the last good one stays, loudly. One that has lost
everything does so also over a restart, for the ledger has it. Files are read beside the rounds, so that ticks go on
meanwhile; a change is read once it has been the same for two looks, so that no file is taken half written.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger

from celery_anp.beat.catalog import Catalog, last_good, load
from celery_anp.beat.reading import entries
from celery_anp.errors import AnpError, LostSchedules
from celery_anp.settings import settings

log = get_logger(__name__)

#: Per file its path, time of change, size and inode.
Signature = tuple[tuple[str, int, int, int], ...]


def chosen(app: Any) -> list[Path]:
    """The files and folders of schedules of an app: those of ANP_SCHEDULES, else those that its deployment ships."""
    return [Path(path) for path in settings().schedules] or list(app.deployment.schedules())


class Files:
    """The files that ANP_SCHEDULES names, and the app's `beat_schedule`.

    Args:
        app: the Celery app.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.paths = chosen(app)
        #: Why the newest state of the files is not used; empty when it is.
        self.trouble = ""
        #: The operators' request for a reload that was answered last; None before the first look.
        self.answered: int | None = None
        self._read = self._seen = self._signature()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="anp-schedules")
        self._reading: Future[Catalog] | None = None
        self._asked = 0
        # Whether the set in use has any schedules: then one without is a loss.
        self._had = False

    def start(self, live: Mapping[str, str]) -> Catalog:
        """Read them now; where they are empty or gone, the schedules that are live stay.

        Args:
            live: how those are declared, as the ledger knows them.

        Raises:
            BadDeclaration: something is wrong; the message tells all of it.
        """
        self._had = bool(live)
        try:
            found = self._load()
        except LostSchedules as error:
            if not live:
                raise
            self._keep(f"the files cannot be used: {error}")
            return last_good(live, self.app)
        self._had = bool(found)
        return found

    def _load(self) -> Catalog:
        found = load(self.paths, self.app)
        if self._had and not found and not found.emptied:
            raise LostSchedules(
                "There are no schedules any more",
                expected=f"[[schedule]] entries; or, in a file of ANP_SCHEDULES, {entries.ON_PURPOSE}",
                given=", ".join(map(str, self.paths)) or "neither files nor entries of beat_schedule",
            )
        return found

    def _keep(self, why: str) -> None:
        self.trouble = f"its last good schedules stay, {why}"
        log.error("beat: %s", self.trouble)

    def look(self, reloads: int) -> Catalog | None:
        """Once a second: begin to read what has changed, or take what was read.

        Args:
            reloads: how often operators have asked for a reload.

        Returns:
            A catalog that was just read and is good, else None.
        """
        if self.answered is None:
            self.answered = reloads
        if self._reading is not None:
            return self._take(self._reading) if self._reading.done() else None
        now = self._signature()
        if reloads != self.answered or (now != self._read and now == self._seen):
            self._read, self._asked = now, reloads
            self._reading = self._pool.submit(self._load)
        self._seen = now
        return None

    def close(self) -> None:
        """Read nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, reading: Future[Catalog]) -> Catalog | None:
        self._reading, self.answered = None, self._asked
        try:
            catalog = reading.result()
        except AnpError as error:
            self._keep(f"the files cannot be used: {error}")
        except Exception as error:
            log.exception("the schedules could not be read")
            self._keep(f"reading the files failed: {error!r}")
        else:
            self.trouble, self._had = "", bool(catalog)
            return catalog
        return None

    def _signature(self) -> Signature:
        found = []
        for file in entries.files(self.paths):
            try:
                stat = file.stat() if isinstance(file, Path) else None
            except OSError:
                stat = None
            if stat is not None:
                found.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)
