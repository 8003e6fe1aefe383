"""The state folder of `anp up`: one holder at a time, and how the other commands find what runs there.

The lock is the kernel's, so it ends with its holder however that ended; `stack.json` may be left behind by a
holder that was killed, and says nothing by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery_anp.errors import AnpError, BadSetting
from celery_anp.settings import STACK_FILE

#: Bytes of a log beyond which the next start begins a new one; the old one is kept once.
LONG_LOG = 10_000_000
#: A command that only looks whether the folder is held may have it for a moment.
PATIENCE = 1.0


class StateFolder:
    """A state folder, made with mode 700 when it is held for the first time.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def ledger(self) -> Path:
        """Where the embedded ledger Redis keeps its files."""
        return self.path / "redis"

    def log(self, name: str) -> Path:
        """The log file of one part of the stack."""
        return self.path / "log" / f"{name}.log"

    def hold(self) -> None:
        """Become the only stack on this folder, until `release` or the end of this process.

        Raises:
            BadSetting: the folder cannot be written.
            AnpError: another stack holds it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log("any").parent.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadSetting(
                "The state folder cannot be used",
                expected="a folder that this user can write (--state, or ANP_STATE)",
                given=f"{self.path}: {error.strerror}",
            ) from None
        if not taken(lock, fcntl.LOCK_EX, PATIENCE):
            os.close(lock)
            raise AnpError(
                "`anp up` runs already on this state folder",
                expected="one at a time: stop the other one, or choose another folder with --state",
                given=f"{self.path}, held by process {self.stack().get('pid', 'unknown')}",
            )
        self._lock = lock
        for log in self.log("*").parent.glob("*.log"):
            if log.stat().st_size > LONG_LOG:
                log.replace(log.with_suffix(".log.1"))

    def held(self) -> bool:
        """Whether a stack runs on this folder now, in whichever process."""
        try:
            lock = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            return not taken(lock, fcntl.LOCK_SH, 0)
        finally:
            os.close(lock)

    def publish(self, settings: Mapping[str, str], flower: Mapping[str, str]) -> None:
        """Tell the other commands where everything is.

        Args:
            settings: settings of this stack by name, as `celery_anp.settings` reads them.
            flower: `url` and `user` of the Flower pages.
        """
        stack = {"pid": os.getpid(), "settings": dict(settings), "flower": dict(flower)}
        _write_private(self.path / STACK_FILE, json.dumps(stack, indent=2) + "\n")

    def stack(self) -> dict[str, Any]:
        """What the last holder published; empty if there is nothing to read."""
        try:
            stack = json.loads((self.path / STACK_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stack if isinstance(stack, dict) else {}

    def release(self) -> None:
        """Take back what was published and let others have the folder."""
        if self._lock is not None:
            (self.path / STACK_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def flower_password(self) -> tuple[str, bool]:
        """The password of the Flower pages, made on first use.

        Returns:
            The password, and whether it was made just now.
        """
        path = self.path / "flower-password"
        try:
            return path.read_text(encoding="utf-8").strip(), False
        except FileNotFoundError:
            import secrets  # only its first start pays for it

            password = secrets.token_urlsafe(18)
            _write_private(path, password + "\n")
            return password, True


def taken(lock: int, kind: int, patience: float) -> bool:
    """Whether a lock could be taken.

    Args:
        lock: a file descriptor.
        kind: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.
        patience: seconds to wait for who has it.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
