"""Where a process lives, and when another process can prove that it is dead.

A wrong proof lets a body run twice, a missing one costs the rest of a lease. So there is a proof only where the kernel
itself rules out that the other one lives, and silence alone is never one: who is stopped or cut off stays.

1. **The same process table.** The same boot, and the same pid and time namespace: the other one's number is gone, was
   given to a process that started at another time, or is that of a zombie. The kernel numbers namespaces anew once they
   are gone, but no two that are there alike: if the other one lived, its namespace would be there, so ours is that one,
   and our table is right. That is also how a container that was started again is seen whose namespace got the old
   number. A `/proc` of another namespace counts as none, and a process that `/proc` hides (hidepid) but a signal would
   find is there. The time namespace counts because the table's start times are shifted by it.
2. **The container was started again.** The same boot and the same container, in a pid namespace that is not ours. A
   pid namespace ends with its first process, and every process in it before that; engines start a container again only
   after that. A container is known by its writable layer, which an engine gives to no other, or in Kubernetes by its
   pod and its name in it. Its host name is not enough (replicas may share it), nor are the files that an engine mounts
   into it (containers that share a network share those), nor the pod (which holds several).
3. **The machine was started again.** Another boot of the same machine: the same host name and machine id, both in the
   initial pid namespace. In containers neither says anything: a machine id may come with the image.

For 2 and 3 the other one must also have been silent since before our namespace, or our boot, began. A true predecessor
always was. A twin, such as a machine cloned with its machine id and host name, renews its lease and so is none.

Elsewhere there is no proof: on another system than Linux, without `/proc`, between hosts, in a container seen from its
host, after a reboot in a container. Limit: machines that are restored from one snapshot of a *running* machine share
their boot id; they need host names of their own.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self
from uuid import UUID

from celery_anp.clock import boottime
from celery_anp.process import table

#: The pid namespace that a machine boots with: the kernel's PROC_PID_INIT_INO.
INITIAL = "pid:[4026531836]"
_POD = re.compile(r"/pods/[0-9a-f-]{36}/containers/[^/]+(?=/)")
_LAYER = re.compile(r"(?:^|,)upperdir=((?:[^,\\]|\\.)+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process lives."""

    #: The host name.
    host: str
    #: The boot of its kernel.
    boot: str
    #: Its pid and time namespaces.
    space: str
    #: Its container, as far as that is known for sure, or empty.
    container: str
    #: Its machine, where it is in no container, or empty.
    machine: str
    pid: int
    #: When it started, in ticks since boot.
    start: int

    def __str__(self) -> str:
        return "|".join(map(str, astuple(self)))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """What `str` gave; None for anything else."""
        with suppress(ValueError):
            host, boot, space, container, machine, pid, start = text.split("|")
            return cls(host, boot, space, container, machine, int(pid), int(start))
        return None


class Death(NamedTuple):
    """A death that is proved."""

    #: A sentence for the history of its runs.
    reason: str
    #: Whether everything that it had started is gone with it; else only its own process is.
    whole: bool


@dataclass(frozen=True)
class System:
    """What is read; the tests put other files in the place of the kernel's."""

    proc: Path = table.PROC
    machine_id: Path = Path("/etc/machine-id")
    host: str = field(default_factory=socket.gethostname)
    #: Seconds since boot.
    clock: Callable[[], float] = boottime

    def here(self) -> Place | None:
        """Where this process lives; None where nobody could prove anything of it, nor it of others."""
        with suppress(OSError, ValueError):
            boot = (self.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            pid = os.getpid()
            entry = table.look(pid, self.proc)
            if UUID(boot).version == 4 and entry and self._is_own(pid):
                space = self._space("pid")
                known = (self._container(), "") if space != INITIAL else ("", self._machine())
                return Place(self.host, boot, f"{space} {self._space('time')}".strip(), *known, pid, entry.start)
        return None

    def death(self, there: Place, silent: Callable[[], float]) -> Death | None:
        """The proof that a process is dead.

        Args:
            there: where it lived.
            silent: for how many seconds it has said nothing; asked only where it matters.

        Returns:
            The proof; None where there is none.
        """
        here = self.here()
        if here is None or there.host != here.host:
            return None
        with suppress(OSError, ValueError, OverflowError):
            if there.boot != here.boot:
                again = bool(here.machine) and there.machine == here.machine and silent() > self.clock()
                return Death("its machine was started again", whole=True) if again else None
            if there.space == here.space:
                return self._of_process(there)
            if here.container and there.container == here.container and silent() > self._age():
                return Death("its container was started again", whole=True)
        return None

    def is_gone(self, child: str) -> bool:
        """Whether a process is gone with its process group, so that nothing of it runs on.

        Args:
            child: its `<pid>.<start>`, of this process table.
        """
        pid, _, start = child.partition(".")
        with suppress(OSError, ValueError, OverflowError):
            return not table.group_runs(int(pid), int(start), self.proc)
        return False

    def _of_process(self, there: Place) -> Death | None:
        entry = table.look(there.pid, self.proc)
        if entry is None or (entry.start == there.start and entry.dead):
            return Death(f"its worker was killed: pid {there.pid} is gone", whole=False)
        if entry.start != there.start:
            return Death(f"its worker was killed: pid {there.pid} is another process now", whole=False)
        return None

    def _is_own(self, pid: int) -> bool:
        """Whether the table is that of our own pid namespace."""
        status = (self.proc / "self/status").read_text(encoding="utf-8", errors="replace")
        numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        return numbers == [str(pid)]

    def _space(self, kind: str) -> str:
        try:
            return str((self.proc / "self/ns" / kind).readlink())
        except FileNotFoundError:
            if kind == "time":  # before Linux 5.6 there is one for all
                return ""
            raise

    def _age(self) -> float:
        """Seconds since our pid namespace began."""
        first = table.look(1, self.proc)
        if first is None:
            raise OSError("no first process")
        return self.clock() - first.start / table.TICKS

    def _container(self) -> str:
        """The container's own layer, or its pod and name."""
        layer = pod = ""
        for line in (self.proc / "self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            (_, _, _, root, point, *_), (kind, _, options, *_) = (half.split() for half in line.split(" - ", 1))
            if point == "/dev/termination-log" and (found := _POD.search(root)):
                pod = found[0]
            if point == "/" and kind == "overlay" and (found := _LAYER.search(options)):
                layer = found[1]
        return _digest(pod or layer)

    def _machine(self) -> str:
        try:
            known = self.machine_id.read_text(encoding="ascii").strip()
        except OSError:
            return ""
        return _digest(f"{self.host} {known}") if re.fullmatch("[0-9a-f]{32}", known) else ""


def _digest(text: str) -> str:
    """Short, and telling nobody what it was made of."""
    return sha256(text.encode()).hexdigest()[:16] if text else ""
