"""The README's own example, on a real worker and beat: it runs, is taken back, and its schedule is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.documents import ROOT, write
from tests.support.eventually import eventually
from tests.support.stack import Stack


@pytest.fixture
def shop(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the README in a folder, on our Redis."""
    monkeypatch.setitem(os.environ, "ANP_TASKS", "")
    monkeypatch.setitem(os.environ, "ANP_APP", "shop")
    write(ROOT / "README.md", stack.folder)
    for name, said, meant in (
        ("shop.py", "redis://localhost:6379/0", stack.redis_url),
        ("newsletter.py", 'Path("outbox")', f"Path({str(stack.folder / 'outbox')!r})"),
    ):
        text = (stack.folder / name).read_text(encoding="utf-8")
        assert said in text
        (stack.folder / name).write_text(text.replace(said, meant), encoding="utf-8")
    return stack.folder


def test_the_example_runs_and_is_rolled_back(stack: Stack, shop: Path) -> None:
    stack.worker(app="shop")
    done = stack.anp("-A", "shop", "tasks", "run", "newsletter.send", "issue=7", "--wait", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["state"], told["result"]) == (0, "succeeded", {"count": 2})
    mails = shop / "outbox" / told["run_id"]
    assert {path.name for path in mails.iterdir()} == {"ann@example.org", "bob@example.org"}
    assert stack.anp("runs", "rollback", told["run_id"]).returncode == 0
    stack.reaches(told["run_id"], "rolled_back")
    assert not mails.exists()


def test_its_beat_takes_the_schedule(stack: Stack, shop: Path) -> None:
    beat = stack.start("beat", "-A", "shop", "beat", "-S", "anp", "-l", "INFO", schedules=str(shop / "schedules.toml"))
    eventually(lambda: "beat has 1 schedules" in beat.said(), 30, "its schedule")
    listed = json.loads(stack.anp("schedules", "list", "--json").stdout)
    assert [(one["name"], one["expects"]) for one in listed] == [("send-newsletter", "each subscriber has one mail")]
