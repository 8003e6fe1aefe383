"""README and docs hold: every code block runs, or says why not; every command, file and setting named exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from celery.bin.celery import celery
from typer.core import TyperCommand

from celery_anp.cli import main
from celery_anp.node import outbox
from celery_anp.settings import PREFIX, read
from celery_anp.tasks.allow_list import allowed
from tests.support.documents import DOCUMENTS, ROOT, Block, all_blocks, anchors, blocks, links, spans, write
from worker.settings import Settings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
#: Blocks that do not run, by document, with the reason that stands beside each.
NOT_RUN = {("README.md", "what these printed while `make up` ran")}
#: Programs that are nobody's here.
ELSEWHERE = {"crontab"}
#: Variables of ours that are no settings of a process: the plugin's, in wp-config.php, and a placeholder.
NO_SETTINGS = {"ANP_SECRET", "ANP_REDIS_URL_FILE", "ANP_"}
#: Imports each module in order; of each guarded task then what a worker asks: its contract, and what its hook takes.
CHECKED = """
import importlib, inspect, sys
from celery_anp.contract.complete import guarded_tasks
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for task in guarded_tasks(module.app).values() if hasattr(module, "app") else ():
        task.contract.model, task.contract.result
        if task.has_rollback:
            fields = task.contract.signature.parameters.values()
            inspect.signature(task._hook).bind(task, [], **{f.name: None for f in fields})
            inspect.signature(task._hook).bind(task, [], **{f.name: None for f in fields if f.default is f.empty})
"""
LOADED = "from celery_anp.cli.schedules.declared import catalog; print(*sorted(catalog()), sep='\\n')"

each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`-A` names an app for the process that parses it: here for one test."""
    monkeypatch.setenv("ANP_APP", os.environ["ANP_APP"])
    yield
    read.cache_clear()


def run(folder: Path, code: str, *arguments: str, **settings: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    env |= {f"{PREFIX}{name.upper()}": value for name, value in settings.items()} | {"PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_what_does_not_run_is_known_and_has_a_reason() -> None:
    found = {(path.name, block.reason) for path in DOCUMENTS for block in all_blocks(path) if block.reason}
    assert found == NOT_RUN
    languages = {block.language for path in DOCUMENTS for block in all_blocks(path) if not block.reason}
    assert languages == {"", "python", "toml"}


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path, "python")], ids=lambda path: path.name)
def test_python_is_complete_and_its_tasks_are_right(document: Path, tmp_path: Path) -> None:
    write(document, tmp_path)
    run(tmp_path, CHECKED, *(Path(block.file).stem for block in blocks(document, "python")))


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path, "toml")], ids=lambda path: path.name)
def test_toml_is_read_by_who_reads_it(document: Path, tmp_path: Path) -> None:
    write(document, tmp_path)
    for block in blocks(document, "toml"):
        told = tomllib.loads(block.text)
        if "schedule" in told:
            app = app_of(document, [entry["task"] for entry in told["schedule"]])
            names = run(tmp_path, LOADED, app=app, schedules=str(tmp_path / block.file)).splitlines()
            assert names == sorted(entry["name"] for entry in told["schedule"])
        elif "command" in told:
            assert set(allowed(tmp_path / block.file)) == {entry["name"] for entry in told["command"]}
        else:
            say = "from celery_anp.settings import settings; print(settings().app)"
            assert run(tmp_path, say) == f"{told['tool']['anp']['app']}\n"


def app_of(document: Path, tasks: list[str]) -> str:
    """The document's own app where its blocks declare the tasks, else this deployment's."""
    own = "".join(block.text for block in blocks(document, "python"))
    return "shop:app" if all(f'"{task}"' in own for task in tasks) else "worker.app:app"


@each
def test_each_command_line_exists(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_runs(monkeypatch)
    wrong = [f"line {block.line}: {said}" for block in blocks(document, "") for said in faults(block)]
    assert not wrong, "\n".join(wrong)


@each
def test_each_command_of_the_prose_exists(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_runs(monkeypatch)
    for words in (span.split() for span in spans(document)):
        if words[0] == "anp" and len(words) > 1:
            assert not anp(words[1:], whole=False), words
        if words[0] == "make" and len(words) > 1:
            assert words[1] in TARGETS, words


@each
def test_each_file_and_setting_of_the_prose_exists(document: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.known()} | NO_SETTINGS
    for span in spans(document):
        if re.fullmatch(r"(celery_anp|worker|schedules|deploy|docs|tests)/[\w./-]*", span):
            assert (ROOT / span).exists(), span
        assert set(re.findall(r"\bANP_[A-Z_]*", span)) <= known, span


@each
def test_each_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert {path for path in DOCUMENTS if path.name != "README.md"} <= linked


def test_an_alert_is_tried_for_as_long_as_is_said() -> None:
    pauses = [min(outbox.FIRST * 2**number, outbox.LONGEST) for number in range(outbox.TRIES["alert"] - 1)]
    assert outbox.TRIES["alert"] == 8
    assert 9 * 60 < sum(pauses) < 11 * 60
    assert "tried eight times in about ten minutes" in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is parsed, with its arguments, and not called."""
    owner = next(kind for kind in TyperCommand.__mro__ if "invoke" in vars(kind))
    monkeypatch.setattr(owner, "invoke", lambda *_: None)


def faults(block: Block) -> Iterator[str]:
    """What is wrong with the command lines of a block."""
    for words in block.commands:
        program, *rest = words
        check = CHECKS.get(program.removeprefix(".venv/bin/"))
        if check is not None:
            said = check(rest)
        else:
            said = "" if program in ELSEWHERE or (ROOT / program).is_file() else "nobody knows this program"
        if said:
            yield f"{' '.join(words)}: {said}"


def anp(words: list[str], *, whole: bool = True) -> str:
    try:
        typer.main.get_command(main.app)(words, standalone_mode=False)
    except Exception as error:
        lacks = type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError")
        return "" if lacks and not whole else f"{type(error).__name__}: {error}"
    return ""


def make(words: list[str]) -> str:
    return "" if words[0] in TARGETS else "there is no such target"


def pip(words: list[str]) -> str:
    if words[:1] == ["wheel"]:
        return ""
    name, _, extras = words[-1].rstrip("]").partition("[")
    known = {"", *PROJECT["optional-dependencies"]}
    right = words[0] == "install" and name == PROJECT["name"] and set(extras.split(",")) <= known
    return "" if right else "it is not what pyproject.toml says"


def of_celery(words: list[str]) -> str:
    """The options of the command and of Celery itself exist, and so does the scheduler."""
    _, app, name, *rest = words
    options = {option for parameter in celery.commands[name].params for option in parameter.opts}
    strange = [word for word in rest if word.startswith("-") and word not in options]
    schedulers = {entry.name for entry in entry_points(group="celery.beat_schedulers")}
    named = [value for option, value in pairwise(rest) if option == "-S"]
    return "" if not strange and set(named) <= schedulers and app == "shop" else "Celery does not know this"


def docker(words: list[str]) -> str:
    """Files, profiles and services exist."""
    files = [value for option, value in pairwise(words) if option == "-f"]
    profiles = [value for option, value in pairwise(words) if option == "--profile"]
    lacking = [file for file in files if not (ROOT / file).is_file()]
    lacking += [profile for profile in profiles if f"profiles: [{profile}]" not in COMPOSE]
    if "exec" in words:
        service, *inside = words[words.index("exec") + 1 :]
        lacking += [] if f"\n  {service}:\n" in COMPOSE else [service]
        return anp(inside[1:]) or ", ".join(lacking)
    return ", ".join(lacking)


CHECKS = {"anp": anp, "make": make, "pip": pip, "celery": of_celery, "docker": docker}
