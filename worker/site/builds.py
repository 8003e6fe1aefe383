"""Builds of the sitemap: one of them is live, behind a link that is swapped in one step.

`<folder>/current` is the link. The build before the live one is kept, so that going back is a swap too.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sqlalchemy import Engine

from worker.settings import Settings
from worker.site import database, fence

CURRENT = "current"
#: The file that every build has.
INDEX = "sitemap.xml"
#: Builds kept beside the live one.
KEPT = 2


def folder(settings: Settings) -> Path:
    """Where the site looks for its sitemap."""
    return settings.state / "site" / "sitemap"


def new_folder(home: Path) -> Path:
    """Make an empty folder for a build.

    Raises:
        OSError: it cannot be made.
    """
    home.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="build-", dir=home))
    made.chmod(0o755)
    return made


def live(home: Path) -> str | None:
    """Name of the live build, or None before the first."""
    try:
        return (home / CURRENT).readlink().name
    except FileNotFoundError:
        return None


def publish(engine: Engine, home: Path, build: str | None, *, site: str, fence_number: int | None) -> None:
    """Make a build the live one, unless a later attempt has done so already.

    Args:
        engine: of the site's database, where the fence is.
        home: from `folder`.
        build: its name; None takes the sitemap away.
        site: the site's name, part of the fence's name.
        fence_number: this attempt's fence; None is not guarded.

    Raises:
        LostOwnership: a later attempt was here; nothing was changed.
        FileNotFoundError: the build is not there any more.
    """
    with database.writing(engine) as connection:
        fence.guard(connection, f"sitemap:{site}", fence_number)
        swap(home, build)


def go_back(
    engine: Engine, home: Path, build: str, previous: str | None, *, site: str, fence_number: int | None
) -> bool:
    """Make the build before a run's the live one again. The fence is raised also when there is nothing to undo, so
    that the run's own late attempt cannot swap any more.

    Args:
        engine: of the site's database, where the fence is.
        home: from `folder`.
        build: the run's build.
        previous: the build before it; None takes the sitemap away.
        site: the site's name, part of the fence's name.
        fence_number: this attempt's fence; None is not guarded.

    Returns:
        Whether it went back; False where another build is live.

    Raises:
        LostOwnership: a later attempt was here; nothing was changed.
        FileNotFoundError: the build before is not there any more.
    """
    with database.writing(engine) as connection:
        fence.guard(connection, f"sitemap:{site}", fence_number)
        if live(home) != build:
            return False
        swap(home, previous)
    return True


def swap(home: Path, build: str | None) -> None:
    """Make a build the live one in one step; None takes the sitemap away.

    Raises:
        FileNotFoundError: the build is not there any more.
    """
    link = home / CURRENT
    if build is None:
        link.unlink(missing_ok=True)
        return
    if not (home / build / INDEX).is_file():
        raise FileNotFoundError(f"The sitemap build {build} is not in {home}; build a new one")
    staged = home / f"{CURRENT}.{build}"
    staged.unlink(missing_ok=True)
    staged.symlink_to(build)
    staged.replace(link)


def prune(home: Path, keep: str | None) -> None:
    """Remove old builds; the live one, `keep` and the newest of the others stay."""
    builds = sorted(home.glob("build-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    others = [path for path in builds if path.name not in (live(home), keep)]
    for path in others[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
