"""Runs one command line in a process group that ends with whoever asked for it. No shell, no input.

Between the caller and the command stands this file, run as a script. A socket joins it to the caller: when
the caller is gone, however it died, the whole group is killed. What leaves the group on purpose (setsid) is
not followed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Bytes of output that are kept, from the end.
TAIL = 16 * 1024
#: Seconds between SIGTERM and SIGKILL.
GRACE = 5.0
#: Seconds between two looks at time limit and stop.
_LOOK = 0.2
#: What a shell exits with when there is no such program.
_NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command line ended."""

    #: Its exit code; 128 + the signal's number if a signal ended it, as in a shell.
    exit_code: int
    #: Seconds it took.
    seconds: float
    #: The end of its output, both streams in the order they came.
    tail: str
    #: Why it was ended, or None: it ended by itself.
    killed: str | None


def run(
    argv: Sequence[str],
    *,
    time_limit: float,
    environment: Mapping[str, str],
    directory: str | None = None,
    stop: Callable[[], bool] = lambda: False,
    grace: float = GRACE,
) -> Outcome:
    """Run a command line and wait for its end.

    Args:
        argv: the program and its arguments.
        time_limit: seconds; then its group gets SIGTERM, and SIGKILL after the grace.
        environment: its whole environment.
        directory: the folder it starts in; None is ours.
        stop: asked again and again; True ends it as the time limit does.
        grace: seconds between SIGTERM and SIGKILL.

    Returns:
        How it ended. A program that is not there ends with 127, as in a shell.

    Raises:
        OSError: this Python could not be started again, or there is no such folder.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _start(argv, environment, directory, theirs.fileno())
        watched = _Watched(process, ours, time_limit, stop, grace)
        try:
            watched.wait()
        finally:
            exit_code = _end(process)
    return watched.outcome(exit_code)


def _start(
    argv: Sequence[str], environment: Mapping[str, str], directory: str | None, lifeline: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  argv without a shell
        [sys.executable, "-I", "-S", __file__, str(lifeline), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=directory,
        pass_fds=(lifeline,),
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of the group. Its leader is not reaped before: until then its number is its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return _shell_code(process.wait())


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


class _Watched:
    """A command line that runs, its output as it comes, and its limits."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        lifeline: socket.socket,
        time_limit: float,
        stop: Callable[[], bool],
        grace: float,
    ) -> None:
        assert process.stdout is not None
        self.pid, self.output, self.lifeline = process.pid, process.stdout, lifeline
        self.stop, self.grace = stop, grace
        self.started = time.monotonic()
        self.ends_at = self.started + time_limit
        self.tail = b""
        self.killed: str | None = None

    def wait(self) -> None:
        """Until the lifeline's other end is closed: the command has ended."""
        streams: list[Any] = [self.lifeline, self.output]
        ready: list[Any] = []
        while self.lifeline not in ready:
            ready, _, _ = select.select(streams, [], [], _LOOK)
            if self.output in ready and not self._read():
                streams.remove(self.output)
            self._look()
        while select.select([self.output], [], [], 0)[0] and self._read():
            pass

    def outcome(self, exit_code: int) -> Outcome:
        seconds = round(time.monotonic() - self.started, 3)
        self.output.close()
        return Outcome(exit_code, seconds, self.tail.decode(errors="replace"), self.killed)

    def _read(self) -> bool:
        part = os.read(self.output.fileno(), 65_536)
        self.tail = (self.tail + part)[-TAIL:]
        return bool(part)

    def _look(self) -> None:
        now = time.monotonic()
        if self.killed is None and (now >= self.ends_at or self.stop()):
            self.killed = "time limit" if now >= self.ends_at else "stopped"
            self.ends_at = now + self.grace
            self._signal(signal.SIGTERM)
        elif self.killed is not None and now >= self.ends_at:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _guard(lifeline: int, argv: list[str]) -> None:
    """Start the command and wait for its end or the caller's; either ends the group."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # meant for the command; this file reports how it ended
    child = os.fork()
    if child == 0:
        os.close(lifeline)
        _become(argv)
    status = (0, 0)
    while status == (0, 0):
        ready, _, _ = select.select([lifeline, ended], [], [])
        if lifeline in ready:
            os.killpg(0, signal.SIGKILL)
        status = os.waitpid(child, os.WNOHANG)
    os._exit(_shell_code(os.waitstatus_to_exitcode(status[1])))


def _become(argv: list[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  the caller's argv, no shell
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(_NOT_FOUND)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2:])
