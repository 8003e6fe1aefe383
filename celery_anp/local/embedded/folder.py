"""The private folder of an embedded Redis, owned by one process tree at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from celery_anp.errors import AnpError, BadSetting
from celery_anp.local.state_folder import taken


def own(folder: Path, timeout: float) -> int:
    """Make a folder and lock it.

    Args:
        folder: the folder; made with mode 700.
        timeout: seconds to wait for another owner.

    Returns:
        A file descriptor; the folder is owned until it is closed here and in every child that inherited it.

    Raises:
        BadSetting: the folder cannot be written.
        AnpError: another process owns it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BadSetting(
            "The folder of the embedded Redis cannot be used",
            expected="a folder that this user can write (ANP_STATE, or --state)",
            given=f"{folder}: {error.strerror}",
        ) from None
    if not taken(lock, fcntl.LOCK_EX, timeout):
        os.close(lock)
        raise AnpError(
            "The state folder is in use by another process",
            expected="one `anp up` or command on a state folder at a time; stop the other one",
            given=str(folder),
            retry_safe=True,
        )
    return lock
