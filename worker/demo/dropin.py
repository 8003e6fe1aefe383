"""Schedules that are live while the demo is served: a copy of their file in a folder that every beat reads.

Limit: a demo that is killed leaves the copy behind; the next one takes it over, and ends it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery_anp.errors import BadSetting


@contextmanager
def lying_in(folder: Path, file: Path) -> Iterator[Path]:
    """A copy of a file in a folder, for the length of the block.

    Args:
        folder: which beats read.
        file: a file of schedules.

    Yields:
        The copy.

    Raises:
        BadSetting: the file cannot be read, or the folder not be written.
    """
    copy = folder / file.name
    draft = copy.with_suffix(".new")  # no beat reads half a file
    try:
        shutil.copyfile(file, draft)
        draft.replace(copy)
    except OSError as error:
        raise BadSetting(
            "The site's schedules cannot be made live",
            expected="a file of schedules, and a folder that this user can write",
            given=f"{error.filename}: {error.strerror}",
        ) from None
    try:
        yield copy
    finally:
        copy.unlink(missing_ok=True)
