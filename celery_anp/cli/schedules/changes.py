"""`anp schedules diff` and `reload`: the files against what is live."""

from __future__ import annotations

import json as json_module
import time
from typing import Annotated, Any

import typer

from celery_anp import duration
from celery_anp.beat.adoption import declaration, differing
from celery_anp.beat.schedule import Schedule
from celery_anp.cli import printing, which_app
from celery_anp.cli.printing import AsJson
from celery_anp.cli.reach import ledger
from celery_anp.cli.schedules.declared import DURATIONS, catalog, ticks_of
from celery_anp.errors import AnpError
from celery_anp.redaction import hidden
from celery_anp.reliability.ledger import Ledger
from celery_anp.reliability.live import Live
from celery_anp.reliability.nodes import Node
from celery_anp.reliability.run import iso

#: Seconds that beats may take to read their files again.
PATIENCE = 20.0
#: Next ticks shown of what was added or has changed.
TICKS = 3


def diff(
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if anything differs.")] = False,
    json: AsJson = False,
) -> None:
    """Compare the files here with what is live: added, removed, changed, with the next ticks.

    Example: `anp schedules diff`
    """
    known = catalog()
    with ledger() as found:
        live = {name: json_module.loads(text) for name, text in Live(found.store).declared().items()}
        stray = sorted(found.cursors().keys() - live.keys() - known.keys())
        now = found.now() // 1000
    files = {name: json_module.loads(declaration(one)) for name, one in known.items()}
    document: dict[str, Any] = {
        "added": [_entry(known[name], now) for name in files if name not in live],
        "removed": [{"name": name, "task": live[name].get("task")} for name in sorted(live.keys() - files.keys())],
        "changed": [
            {**_entry(known[name], now), "changes": _changes(live[name], files[name], known[name].secrets)}
            for name in files
            if name in live and files[name] != live[name]
        ],
        "stray": [{"name": name} for name in stray],
    }
    same = not any(document.values())
    if json:
        printing.as_json({"same": same, **document})
    else:
        _show(document, len(known))
    if exit_code and not same:
        raise typer.Exit(1)


def reload(
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="This app takes the place of the one whose schedules are live."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Have every beat read its files again, and tell what each says. It also notices changed files by itself.

    Exit code 1 if a beat cannot use its files, or none answers. Example: `anp schedules reload`
    """
    with ledger(to_read=False) as found:
        if take_over:
            _take_over(found, json=json)
            return
        number = Live(found.store).ask_for_reload()
        beats = _answers(found, number)
    if not beats:
        raise AnpError("No beat is alive to read its schedules again", expected="a running `anp up` or `anp beat`")
    said = [(f"{beat.host} {beat.pid}", _said(beat, number)) for beat in beats]
    if json:
        printing.as_json([{"beat": beat, "ok": not trouble, "trouble": trouble or None} for beat, trouble in said])
    else:
        printing.table(("beat", "says"), [(beat, trouble or "read, and in use") for beat, trouble in said])
    if any(trouble for _, trouble in said):
        raise typer.Exit(1)


def _take_over(found: Ledger, *, json: bool) -> None:
    app = which_app.chosen().identity
    before = Live(found.store).take_over(app)
    if json:
        printing.as_json({"app": app, "before": before or None})
    elif before == app:
        printing.say(f"the schedules are those of {app} already")
    else:
        printing.say(
            f"from now on the schedules are those of {app}; those of {before or 'nobody'} end with its first beat"
        )


def _answers(found: Ledger, number: int) -> list[Node]:
    end = time.monotonic() + PATIENCE
    while True:
        beats = [node for node in found.nodes() if node.kind == "beat"]
        if all(_answered(beat, number) for beat in beats) or time.monotonic() > end:
            return beats
        time.sleep(0.2)


def _answered(beat: Node, number: int) -> bool:
    return int(beat.news.get("reloads") or 0) >= number


def _said(beat: Node, number: int) -> str:
    return beat.news.get("trouble", "") if _answered(beat, number) else f"nothing within {PATIENCE:.0f} s"


def _entry(one: Schedule, now: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "task": one.task,
        "when": one.when,
        "next": [iso(tick) for tick in ticks_of(one, now, TICKS)],
    }


def _changes(live: dict[str, Any], files: dict[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    def shown(declared: dict[str, Any], key: str) -> Any:
        if key != "input" or key not in declared:
            return declared.get(key)
        return hidden(declared["input"], secrets)

    return {key: {"live": shown(live, key), "files": shown(files, key)} for key in differing(live, files)}


def _show(document: dict[str, Any], count: int) -> None:
    for entry in document["added"]:
        printing.say(f"+ {entry['name']}: {entry['task']}, {entry['when']}; next {_next(entry)}")
    for entry in document["removed"]:
        printing.say(f"- {entry['name']}: {entry['task']}")
    for entry in document["changed"]:
        printing.say(f"~ {entry['name']}; next {_next(entry)}")
        for key, change in entry["changes"].items():
            printing.say(f"    {key}: {_shown(key, change['live'])} -> {_shown(key, change['files'])}")
    for entry in document["stray"]:
        printing.say(f"? {entry['name']}: it has a cursor and is declared nowhere")
    if not any(document.values()):
        printing.say(f"the {count} schedules of the files are the ones that are live")


def _next(entry: dict[str, Any]) -> str:
    return ", ".join(entry["next"]) or "never"


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "-"
    return duration.text(value) if key in DURATIONS else json_module.dumps(value, ensure_ascii=False)
