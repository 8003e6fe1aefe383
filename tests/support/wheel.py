"""The engine as `pip install celery-anp` brings it: its wheel in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What only the extras need; the environment of the tests has it, so it is refused there.
EXTRAS = ("flower", "tornado", "sqlalchemy", "pymysql", "defusedxml", "starlette", "uvicorn", "jinja2")


def refusing(*packages: str) -> str:
    """A piece of Python behind which some packages cannot be imported."""
    return f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it is not the engine's")
sys.meta_path.insert(0, Refuse())
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it. What the wheel depends on is taken from the environment of the tests."""

    wheel: Path
    bin: Path

    def run(self, *command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]], cwd=folder, env=self.env(**env), capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip

    def env(self, **env: str) -> dict[str, str]:
        """The variables of a process that knows nothing of this repository."""
        ours = ("ANP_", "PYTHON", "VIRTUAL_ENV", "CELERY")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "PATH": f"{self.bin}{os.pathsep}{kept.get('PATH', '')}", **env}


def install(folder: Path) -> Installed:
    """Build the wheel and install it.

    Args:
        folder: an empty one.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    _done([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)])
    (wheel,) = folder.glob("celery_anp-*.whl")
    home = folder / "venv"
    _done([sys.executable, "-m", "venv", "--without-pip", str(home)])
    python = home / "bin" / "python"
    _done([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)])
    (packages,) = (home / "lib").glob("python*/site-packages")
    # A folder that a .pth names is only a folder: the editable install in it, itself a .pth, is not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (packages / "sitecustomize.py").write_text(refusing(*EXTRAS), encoding="utf-8")
    # The programs of what it depends on, as pip would have put them there.
    (home / "bin" / "celery").write_text(
        f"#!{python}\nimport sys\nfrom celery.__main__ import main\nsys.exit(main())\n", encoding="utf-8"
    )
    (home / "bin" / "celery").chmod(0o755)
    return Installed(wheel, home / "bin")


def _done(command: list[str]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
