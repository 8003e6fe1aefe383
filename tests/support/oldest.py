"""What `make compat` installs: of each dependency the oldest that pyproject.toml allows, with one line of Celery.

With the oldest Celery comes the oldest redis-py, with another the newest that it allows. kombu is Celery's own choice,
and what a dependency itself needs is left to pip, which takes the newest that fits.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
#: Of the development's tools only what runs the tests: linters need newer libraries than our floors.
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "hatchling", "ephem")
NAMED = re.compile(r"([a-z-]+)>=([0-9.]+)")


def oldest(line: str) -> Iterator[str]:
    """The requirements, one a line.

    Args:
        line: of Celery's releases: "5.6".
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    floors = dict(NAMED.findall("\n".join((*project["dependencies"], *extras["flower"], *extras["site"]))))
    is_oldest = floors.pop("celery") == line
    yield f"celery[redis]=={line}.0" if is_oldest else f"celery[redis]~={line}.0"
    left_open = {"kombu"} if is_oldest else {"kombu", "redis", "packaging"}  # kombu 5.7 wants a newer packaging
    yield from (name if name in left_open else f"{name}=={floor}" for name, floor in floors.items())
    yield from (tool for tool in extras["dev"] if re.split("[=>]", tool)[0] in TOOLS)


if __name__ == "__main__":
    sys.stdout.write("\n".join(oldest(sys.argv[1])) + "\n")
