"""The sitemap on disk."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from worker.site import builds, sitemap

SPACE = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
WHEN = datetime.fromisoformat("2026-11-21 20:15")


def written(home: Path, name: str) -> str:
    build = home / name
    build.mkdir(parents=True)
    sitemap.write_index(build, 1, "https://site.example", WHEN)
    return name


def test_a_part_names_each_page_with_its_last_change(tmp_path: Path) -> None:
    sitemap.write_part(tmp_path, 1, "https://site.example", [("a", WHEN), ("b&c", WHEN)])
    root = ET.parse(tmp_path / "sitemap-1.xml").getroot()
    assert [node.text for node in root.findall("s:url/s:loc", SPACE)] == [
        "https://site.example/a/",
        "https://site.example/b%26c/",
    ]
    assert root.findtext("s:url/s:lastmod", namespaces=SPACE) == "2026-11-21T20:15:00Z"


def test_before_the_first_build_nothing_is_live(tmp_path: Path) -> None:
    assert builds.live(tmp_path / "sitemap") is None


def test_a_swap_replaces_the_live_build_and_going_back_is_a_swap_too(tmp_path: Path) -> None:
    first, second = written(tmp_path, "build-1"), written(tmp_path, "build-2")
    for build in (first, second, first):
        builds.swap(tmp_path, build)
        assert builds.live(tmp_path) == build
        assert (tmp_path / builds.CURRENT / builds.INDEX).is_file()


def test_a_swap_to_a_build_that_is_gone_leaves_the_live_one(tmp_path: Path) -> None:
    builds.swap(tmp_path, written(tmp_path, "build-1"))
    with pytest.raises(FileNotFoundError, match="build a new one"):
        builds.swap(tmp_path, "build-2")
    assert builds.live(tmp_path) == "build-1"


def test_old_builds_go_and_the_live_one_and_the_one_before_stay(tmp_path: Path) -> None:
    for number in range(1, 7):
        build = tmp_path / written(tmp_path, f"build-{number}")
        os.utime(build, (number, number))
    builds.swap(tmp_path, "build-6")
    builds.prune(tmp_path, keep="build-2")
    assert sorted(path.name for path in tmp_path.glob("build-*")) == ["build-2", "build-5", "build-6"]
