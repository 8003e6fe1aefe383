"""A program of ours that runs beside us, with a log file and a way to tell whether it does its work."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from celery_anp.errors import AnpError
from celery_anp.process import bound


class Service:
    """A program of ours in its own process group, its output in a log file.

    Args:
        argv: the program and its arguments.
        log: file that its output is appended to.
        env: its whole environment.
        healthy: tells whether it does its work; may raise, which counts as "not yet".
    """

    def __init__(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str], healthy: Callable[[], bool]) -> None:
        self.argv = list(argv)
        self.log = log
        self.env = dict(env)
        self._healthy = healthy
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def healthy(self) -> bool:
        """Whether it is there and does its work."""
        try:
            return self.alive and self._healthy()
        except Exception:
            return False

    def start(self) -> None:
        """Start it without waiting for it; does nothing while it runs."""
        if self.alive:
            return
        with self.log.open("ab") as output:
            self._process = bound.start(self.argv, output=output, env=self.env)

    def stop(self, grace: float) -> None:
        """End it and its process group, hard after `grace` seconds."""
        if self._process is not None:
            bound.end(self._process, grace)

    def kill(self) -> None:
        """Kill it and its process group at once, without waiting."""
        if self._process is not None:
            bound.kill(self._process)

    def last_words(self) -> str:
        """The last line it logged."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"nothing in {self.log}"

    def wait(self, timeout: float, going_on: Callable[[], bool]) -> None:
        """Wait until it does its work.

        Args:
            timeout: seconds.
            going_on: asked again and again; False ends the waiting.

        Raises:
            AnpError: it ended or was not healthy in time; gives its last words.
        """
        deadline = time.monotonic() + timeout
        while going_on() and not self.healthy:
            if not self.alive or time.monotonic() > deadline:
                what = "did not become healthy" if self.alive else "ended"
                raise AnpError(
                    f"{self.log.stem} {what} while starting",
                    expected=f"healthy within {timeout:g} s; its log is {self.log}",
                    given=self.last_words(),
                )
            time.sleep(0.1)
