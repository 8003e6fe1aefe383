"""When a death is proved, and when it is not: each case that could be taken for a proof and is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celery_anp.process import table
from celery_anp.process.place import INITIAL, Place, System
from tests.support.eventually import eventually

BOOT, OTHER_BOOT = "151bd674-3e20-41a3-b6d7-126781c93a48", "8f6c9f0e-51b5-4b6e-9d0f-0c1f4f5f9a11"
MACHINE_ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"
OURS, THEIRS = "pid:[4026532183]", "pid:[4026532999]"
LAYER = "/var/lib/docker/overlay2/313151ee1c8d2aa27e7dd706712110fad254bf14e3349430ecaa64c659b586af/diff"
POD = "/var/lib/kubelet/pods/9a2f6c1e-0d3b-4e57-8a0c-2f0f6f2f9b11/containers"
#: A number that no kernel gives: its pid_max is at most 2^22.
NOBODY = 5_000_000
#: Seconds since boot, and since the pid namespace of a container began.
UPTIME, AGE = 1000.0, 5.0


class Kernel:
    """A `/proc` of our own making, and what is read from it."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        (self.proc / "self/ns").mkdir(parents=True)
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        self.boot(BOOT)
        self.space("pid", INITIAL)
        self.space("time", "time:[4026531834]")
        self.numbers(os.getpid())
        self.process(os.getpid(), 99_000)
        self.process(1, int((UPTIME - AGE) * table.TICKS))
        self.mounts()
        self.machine_id = folder / "machine-id"
        self.machine_id.write_text(MACHINE_ID + "\n")
        self.host = "web-1"

    def boot(self, text: str) -> None:
        (self.proc / "sys/kernel/random/boot_id").write_text(text + "\n")

    def space(self, kind: str, name: str) -> None:
        link = self.proc / "self/ns" / kind
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def numbers(self, *pids: int) -> None:
        (self.proc / "self/status").write_text("Name:\tpython\nNSpid:\t" + "\t".join(map(str, pids)) + "\n")

    def process(self, pid: int, start: int, state: str = "S", threads: int = 3) -> None:
        (self.proc / str(pid)).mkdir(exist_ok=True)
        fields = ["0"] * 50
        fields[0], fields[17], fields[19] = state, str(threads), str(start)
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a name) with ) in it) {' '.join(fields)}\n")

    def mounts(self, layer: str = "", pod: str = "") -> None:
        overlay = f"overlay overlay rw,lowerdir=/l/A:/l/B,upperdir={layer},workdir=/w"
        lines = [f"76 52 0:39 / / rw,relatime master:2 - {overlay if layer else 'ext4 /dev/vda rw'}"]
        lines += [f"77 76 8:1 {pod}/1f0c7a2b /dev/termination-log rw - ext4 /dev/sda1 rw"] if pod else []
        (self.proc / "self/mountinfo").write_text("\n".join(lines) + "\n")

    def container(self, space: str = OURS, layer: str = LAYER) -> None:
        self.space("pid", space)
        self.mounts(layer)

    @property
    def system(self) -> System:
        return System(self.proc, self.machine_id, self.host, lambda: UPTIME)

    @property
    def here(self) -> Place:
        here = self.system.here()
        assert here is not None
        return here

    def death(self, there: Place, silent: float = 3600.0) -> str:
        found = self.system.death(there, lambda: silent)
        return found.reason if found else ""


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def worker(kernel: Kernel) -> Place:
    """Another process, which lives where we do."""
    kernel.process(4242, 77_000)
    return replace(kernel.here, pid=4242, start=77_000)


def test_a_place_is_written_and_read(kernel: Kernel) -> None:
    assert Place.read(str(kernel.here)) == kernel.here
    assert [Place.read(text) for text in ("", "a|b", "h|b|s|c|m|pid|start")] == [None] * 3


# -- the same process table ---------------------------------------------------------------------------------------


def test_a_process_that_is_there_lives(kernel: Kernel) -> None:
    assert kernel.death(worker(kernel)) == ""


def test_a_process_that_is_gone_is_dead(kernel: Kernel) -> None:
    assert kernel.death(replace(worker(kernel), pid=NOBODY)) == f"its worker was killed: pid {NOBODY} is gone"


def test_a_number_that_was_given_to_another_process_is_a_death(kernel: Kernel) -> None:
    there = worker(kernel)
    kernel.process(4242, 77_001)
    assert kernel.death(there) == "its worker was killed: pid 4242 is another process now"


def test_a_zombie_is_dead_and_one_whose_first_thread_alone_has_ended_is_not(kernel: Kernel) -> None:
    there = worker(kernel)
    kernel.process(4242, 77_000, "Z", threads=2)
    assert kernel.death(there) == ""
    kernel.process(4242, 77_000, "Z", threads=1)
    assert kernel.death(there) == "its worker was killed: pid 4242 is gone"


@pytest.mark.parametrize("state", ["T", "t", "D", "I"])
def test_one_that_is_stopped_or_hangs_lives(kernel: Kernel, state: str) -> None:
    there = worker(kernel)
    kernel.process(4242, 77_000, state)
    assert kernel.death(there) == ""


@pytest.mark.parametrize(
    "other",
    [
        {"space": f"{THEIRS} time:[4026531834]"},  # another container, or the host, where our numbers say nothing
        {"space": f"{INITIAL} time:[4026532001]"},  # start times are shifted there
        {"boot": OTHER_BOOT, "machine": ""},
        {"host": "web-2"},  # a machine that was restored from the same snapshot
    ],
)
def test_a_number_elsewhere_says_nothing(kernel: Kernel, other: Any) -> None:
    assert kernel.death(replace(worker(kernel), pid=NOBODY, **other)) == ""


def test_a_process_that_the_table_does_not_tell_of_lives(kernel: Kernel) -> None:
    there = worker(kernel)
    stat = kernel.proc / "4242/stat"
    stat.unlink()
    stat.mkdir()  # reading it fails, for root too
    assert kernel.death(there) == ""


def test_without_a_table_of_our_own_there_is_no_place_and_no_proof(kernel: Kernel) -> None:
    there = replace(worker(kernel), pid=NOBODY)
    assert kernel.death(there) != ""
    kernel.numbers(7, os.getpid())  # a namespace was begun, and /proc is still that of the one outside
    assert kernel.system.here() is None
    assert kernel.death(there) == ""


def test_a_process_that_the_table_hides_lives(kernel: Kernel) -> None:
    hidden = replace(worker(kernel), pid=os.getppid())  # as hidepid does with those of other users
    assert kernel.death(hidden) == ""


@pytest.mark.parametrize("text", ["", "00000000-0000-0000-0000-000000000000", "not known"])
def test_a_boot_that_has_no_name_of_its_own_is_no_place(kernel: Kernel, text: str) -> None:
    kernel.boot(text)
    assert kernel.system.here() is None


def test_without_a_process_table_there_is_no_place(tmp_path: Path) -> None:
    assert System(tmp_path / "proc").here() is None


def test_a_kernel_without_time_namespaces_has_a_place(kernel: Kernel) -> None:
    (kernel.proc / "self/ns/time").unlink()
    assert kernel.here.space == INITIAL


# -- a container that was started again ---------------------------------------------------------------------------


def test_a_container_that_was_started_again_has_lost_everything(kernel: Kernel) -> None:
    kernel.container(THEIRS)
    there = replace(kernel.here, pid=7)
    kernel.container(OURS)
    death = kernel.system.death(there, lambda: AGE + 1)
    assert death
    assert death.whole
    assert death.reason == "its container was started again"


def test_a_container_whose_namespace_got_the_old_number_is_seen_by_its_processes(kernel: Kernel) -> None:
    kernel.container()
    there = replace(kernel.here, start=50_000)  # the same pid, as the first process of a container has
    assert kernel.death(there) == f"its worker was killed: pid {os.getpid()} is another process now"


def test_one_that_has_spoken_since_we_began_is_no_predecessor(kernel: Kernel) -> None:
    kernel.container(THEIRS)
    there = replace(kernel.here, pid=7)
    kernel.container(OURS)
    assert kernel.death(there, silent=AGE - 1) == ""


def test_two_containers_with_one_host_name_are_two(kernel: Kernel) -> None:
    kernel.container(THEIRS)
    there = replace(kernel.here, pid=7)
    kernel.container(OURS, LAYER.replace("3131", "7272"))
    assert kernel.death(there) == ""


def test_a_container_on_another_kernel_is_another(kernel: Kernel) -> None:
    kernel.container(THEIRS)
    there = replace(kernel.here, pid=7, boot=OTHER_BOOT)
    kernel.container(OURS)
    assert kernel.death(there) == ""


@pytest.mark.parametrize("machine", ["", "f" * 16])
def test_a_container_says_nothing_of_its_machine(kernel: Kernel, machine: str) -> None:
    kernel.container()
    assert kernel.here.machine == ""
    assert kernel.death(replace(kernel.here, boot=OTHER_BOOT, machine=machine)) == ""


def test_a_container_without_a_layer_is_known_by_nothing(kernel: Kernel) -> None:
    kernel.container(THEIRS, layer="")
    there = replace(kernel.here, pid=7)
    kernel.container(OURS, layer="")
    assert kernel.here.container == ""
    assert kernel.death(there) == ""


def test_in_kubernetes_a_container_is_its_pod_and_its_name(kernel: Kernel) -> None:
    def at(space: str, layer: str, pod: str) -> Place:
        kernel.space("pid", space)
        kernel.mounts(layer, pod)
        return kernel.here

    before, neighbour = at(THEIRS, "/one", f"{POD}/worker"), at(THEIRS, "/two", f"{POD}/other")
    assert at(OURS, "/three", f"{POD}/worker").container == before.container  # each start has a layer of its own
    assert kernel.death(before) == "its container was started again"
    assert kernel.death(neighbour) == ""


def test_outside_of_containers_no_container_is_known(kernel: Kernel) -> None:
    kernel.mounts(LAYER)  # the root of a live system
    assert kernel.here.container == ""


# -- a machine that was started again -----------------------------------------------------------------------------


def test_a_machine_that_was_started_again_has_lost_everything(kernel: Kernel) -> None:
    there = replace(kernel.here, boot=OTHER_BOOT, pid=7)
    death = kernel.system.death(there, lambda: UPTIME + 1)
    assert death
    assert death.whole
    assert death.reason == "its machine was started again"


def test_a_machine_cloned_with_its_names_renews_its_lease_and_lives(kernel: Kernel) -> None:
    assert kernel.death(replace(kernel.here, boot=OTHER_BOOT, pid=7), silent=3) == ""


@pytest.mark.parametrize("text", ["", "uninitialized", None])
def test_a_machine_without_an_id_is_known_by_nothing(kernel: Kernel, text: str | None) -> None:
    there = replace(kernel.here, boot=OTHER_BOOT)
    assert kernel.death(there) != ""
    kernel.machine_id.unlink()
    if text is not None:
        kernel.machine_id.write_text(text)
    assert kernel.here.machine == ""
    assert kernel.death(there) == ""
    assert kernel.death(replace(there, machine="")) == ""


# -- a child and what it has started ------------------------------------------------------------------------------

#: A leader of a group, what it starts in it, and its end.
LEADER = "import os, subprocess; os.setpgrp(); print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"


@contextmanager
def leader() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [sys.executable, "-c", LEADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        started = int(process.stdout.readline())
        try:
            yield process, started
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no process table to read")
def test_a_child_is_gone_when_its_group_is() -> None:
    system = System()
    with leader() as (process, started):
        entry = table.look(process.pid)
        assert entry
        child = f"{process.pid}.{entry.start}"
        assert not system.is_gone(child)
        process.kill()
        eventually(lambda: (gone := table.look(process.pid)) and gone.dead, 10, "it to be a zombie")
        assert not system.is_gone(child), "what it has started runs on"
        os.kill(started, 9)
        eventually(lambda: system.is_gone(child), 10, "its group to be gone, but for its zombie")
        process.wait()
        assert system.is_gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no process table to read")
def test_another_process_with_its_number_means_that_its_group_is_gone_too() -> None:
    entry = table.look(os.getpid())
    assert entry
    assert System().is_gone(f"{os.getpid()}.{entry.start - 1}")
    assert not System().is_gone(f"{os.getpid()}.{entry.start}")


@pytest.mark.parametrize("child", ["", "child", "12.", ".5", f"{10**30}.1"])
def test_a_child_without_a_number_is_not_known_to_be_gone(child: str) -> None:
    assert not System().is_gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no process table to read")
def test_a_process_is_told_by_its_start_in_ticks_since_boot() -> None:
    entry = table.look(os.getpid())
    assert entry
    ready = threading.Event()
    thread = threading.Thread(target=ready.wait)
    thread.start()
    try:
        assert entry == table.look(os.getpid()), "its threads change nothing of it"
    finally:
        ready.set()
    import psutil

    began = psutil.boot_time() + entry.start / table.TICKS
    assert abs(began - psutil.Process().create_time()) < 2
