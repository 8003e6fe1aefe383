"""What the commands cost that run all the time: user and system CPU of one process, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from celery_anp.settings import environment
from tests.bench.place import Place
from tests.bench.table import Line
from tests.support.stack import Stack

#: Seconds of CPU that each may take.
MOST = 0.25
COMMANDS = (
    "--version", "status", "health redis", "health worker", "health beat", "health site", "health flower",
    "health metrics", "runs list", "runs cancel none", "schedules list", "schedules pause none",
)  # fmt: skip
#: Health checks of a stack of ten containers, and how often each is made.
CONTAINERS, EVERY = 10, 30.0
#: Part of one core that an idle stack may cost.
IDLE = 0.05


def lines(place: Place) -> list[Line]:
    """The median of several processes each, turn by turn; on a busy machine all of them rise, caches are shared."""
    place.clear()
    with Stack(place.folder, place.server.url) as stack:
        stack.worker()
        figures: dict[str, list[float]] = {command: [] for command in ("", *COMMANDS)}
        for _ in range(place.either(5, 15) + 1):
            for command, seconds in figures.items():
                seconds.append(_cost(command, place.folder))
    middle = {command: median(seconds[1:]) for command, seconds in figures.items()}  # the first compiles
    told = [
        Line(f"CPU of anp {command}", middle[command], middle[""], "s", "a Python that does nothing", "smaller")
        for command in COMMANDS
    ]
    checks = middle["health worker"] * CONTAINERS / EVERY
    return [
        *told,
        Line("CPU of the dearest of them", max(middle.values()), unit="s", better="smaller", target=MOST),
        Line("health checks of ten containers", checks, unit="of a core", better="smaller", target=IDLE),
    ]


def _cost(command: str, folder: Path) -> float:
    """Of one process, in a folder without a project; an empty command is a Python that does nothing."""
    words = ["-m", "celery_anp", *command.split()] if command else ["-c", "pass"]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=_environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return used.ru_utime + used.ru_stime


def _environment(folder: Path) -> dict[str, str]:
    """Everything is compiled once, as it is where it is installed."""
    known = environment(app="", tasks="", site_url="http://127.0.0.1:1")
    known.pop("PYTHONDONTWRITEBYTECODE", None)
    return known | {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}
