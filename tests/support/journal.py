"""The journal: a file that stands for the outside world, and a fenced store.

Each line is written under a file lock. A line with a fence lower than the highest seen for its lock is refused: it is
kept, marked `accepted: false`, and changes nothing. An accepted line whose key stands already is marked `again`, as a
store that is keyed by run id answers.

Limit: a process that is stopped while it holds the file lock stops every writer until it goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually

#: Seconds after which nobody opens a gate any more.
NOBODY = 120.0
Line = dict[str, Any]


@dataclass
class Standing:
    """What the store holds after the first `size` bytes of its journal."""

    size: int = 0
    fences: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def judge(self, line: Line) -> None:
        """Mark a line on its way in."""
        lock, fence, key = line["lock"], line["fence"], line.get("key")
        line["accepted"] = lock is None or fence is None or fence >= self.fences.get(lock, 0)
        if key:
            line["again"] = key in self.keys

    def take(self, line: Line) -> None:
        """What a line that is in the journal has changed."""
        if not line["accepted"]:
            return
        if line["lock"] is not None and line["fence"] is not None:
            self.fences[line["lock"]] = line["fence"]
        if line.get("key") and not line["again"]:
            self.keys.append(line["key"])


class Journal:
    """One journal; safe across processes and their deaths.

    Args:
        path: its file; other files beside it begin with the same name.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, event: str, *, lock: str | None = None, fence: int | None = None, **fields: Any) -> bool:
        """Append a line.

        Args:
            event: what happened.
            lock: the lock whose fence guards it; without lock or fence it is accepted.
            fence: the writer's fence.
            **fields: what else stands in the line, JSON; `key` names an effect that stands once.

        Returns:
            Whether it was accepted.
        """
        with self.alone():
            line = {"event": event, "lock": lock, "fence": fence, **fields}
            standing = self._standing()
            standing.judge(line)
            with self.path.open("ab", buffering=0) as file:
                file.write(
                    json.dumps({"pid": os.getpid(), "parent": os.getppid(), "at": time.time(), **line}).encode() + b"\n"
                )
            standing.take(line)
            self._keep(standing)
        return bool(line["accepted"])

    def lines(self, event: str | None = None, **fields: Any) -> list[Line]:
        """Lines in the order they were written, those of one event or with some fields only."""
        if not self.path.exists():
            return []
        with self.alone():  # so that whoever wrote the last line has let go of the store
            text = self.path.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        wanted = {**fields, **({"event": event} if event else {})}
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]

    # -- gates ------------------------------------------------------------------------------------

    def wait_at(self, gate: str, **fields: Any) -> None:
        """Say that this process stands at a gate, and wait while it is closed, as it is at first."""
        self.write("at", name=gate, **fields)
        eventually(self._gate(gate).exists, NOBODY, f"somebody to open {gate}")

    def open(self, gate: str) -> None:
        """Let everybody through, now and later."""
        self._gate(gate).touch()

    def close(self, gate: str) -> None:
        """Let nobody through any more."""
        self._gate(gate).unlink()

    def _gate(self, gate: str) -> Path:
        return Path(f"{self.path}.open.{gate}")

    # -- the file ---------------------------------------------------------------------------------

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody writes meanwhile: to stop a process here is to be sure that it does not hold the store."""
        with Path(f"{self.path}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open, and the lock

    def _standing(self) -> Standing:
        """What was kept, and what was written after it by one who died before he could keep it."""
        size = self.path.stat().st_size if self.path.exists() else 0
        kept = self._kept()
        if kept.size > size:
            kept = Standing()
        if kept.size < size:
            for line in self.path.read_bytes()[kept.size :].splitlines():
                kept.take(json.loads(line))
        return kept

    def _kept(self) -> Standing:
        file = Path(f"{self.path}.standing")
        return Standing(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Standing()

    def _keep(self, standing: Standing) -> None:
        standing.size = self.path.stat().st_size
        # Replaced and not written over: half a file would end every later writer.
        fresh = Path(f"{self.path}.standing.new")
        fresh.write_text(json.dumps(asdict(standing)), encoding="utf-8")
        fresh.replace(f"{self.path}.standing")
