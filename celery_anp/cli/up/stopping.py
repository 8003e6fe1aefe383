"""When a foreground command has to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


class Stopping:
    """Tells when it is time to stop: a signal, or the death of the process that started us."""

    def __init__(self) -> None:
        #: Called at each signal after the first one: somebody has no patience.
        self.on_hurry: Callable[[], None] = lambda: None
        self._asked = threading.Event()
        self._parent = os.getppid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def going_on(self) -> bool:
        """Whether nobody asked to stop."""
        return not self._asked.is_set() and os.getppid() == self._parent

    def wait(self, seconds: float) -> None:
        """Wait, but not after a signal."""
        self._asked.wait(seconds)

    def _on_signal(self, *_: object) -> None:
        if self._asked.is_set():
            self.on_hurry()
        self._asked.set()
