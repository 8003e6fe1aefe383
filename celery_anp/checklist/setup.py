"""Secrets, settings, tasks, schedules and nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery_anp.checklist.point import Point
from celery_anp.contract.complete import missing
from celery_anp.reliability.nodes import Node, Unserved, served
from celery_anp.settings import Settings, sources

#: The engine's settings that hold a secret, and those whose password must be hard to guess.
SECRET = ("redis_url", "flower_password", "alert_url", "sentinel_password")
GUESSED = ("redis_url", "flower_password")
#: Characters of a password that nobody guesses.
LONG = 16
#: Passwords that everybody guesses.
COMMON = frozenset({"", "anp", "admin", "password", "secret", "redis", "changeme", "test", "loopback"})


def secrets(known: Settings, secret: Sequence[str] = SECRET, guessed: Sequence[str] = GUESSED) -> Iterator[Point]:
    """Whether secrets are files that only we can read, and hard to guess.

    Args:
        known: the settings.
        secret: those that hold a secret.
        guessed: those whose password must be hard to guess.
    """
    came = sources()
    for name in secret:
        if not _held(known, name):
            continue
        file = came.get(name)
        variable = f"ANP_{name.upper()}"
        wrong = "it stands in the environment, which every child and every crash report sees" if file is None else ""
        yield Point("secrets", f"{variable} comes from a file", wrong, f"{variable}_FILE")
        if file is not None:
            mode = Path(file).stat().st_mode & 0o777
            open_to = f"its mode is {mode:03o}" if mode & 0o007 else ""
            yield Point("secrets", f"only its owner reads the file of {variable}", open_to, f"chmod 600 {file}")
    for name in guessed:
        if name in known.model_fields_set:
            yield _guessable(f"ANP_{name.upper()}", _password(known, name))


def settings(known: Settings) -> Iterator[Point]:
    """Whether this is set up as a production."""
    wrong = "" if known.env == "production" else f"it is {known.env}"
    yield Point("settings", "ANP_ENV is production", wrong, "ANP_ENV=production")
    wrong = "" if known.release else "runs do not say which release they are of, and a left-over beat is not found out"
    yield Point("settings", "ANP_RELEASE names this deploy", wrong, "ANP_RELEASE, another one for each deploy")
    wrong = "" if known.alert_url else "nobody is told of late schedules and quarantined runs"
    yield Point("settings", "ANP_ALERT_URL is set", wrong, "a webhook of your chat or pager")


def tasks(guarded: Mapping[str, Any]) -> Iterator[Point]:
    """Whether each task says what it must."""
    for name, task in guarded.items():
        lacks = missing(task) + ([] if task.time_limit else ["time_limit"])
        untyped = [field for field, kind, _ in task.signature_help() if kind == "any" and task.contract.typed]
        lacks += [f"a type for {field}" for field in untyped]
        what = f"{name} has owner, expected result, input types, rollback or reason, and time limit"
        yield Point("tasks", what, f"it lacks {', '.join(lacks)}" if lacks else "", "its decorator and annotations")


def messages(unreadable: int) -> Point:
    """Whether every message could be read.

    Args:
        unreadable: how many are set aside.
    """
    wrong = f"{unreadable} are set aside" if unreadable else ""
    return Point("messages", "workers could read every message", wrong, "`anp runs unreadable`, then with --drop")


def nodes(alive: list[Node]) -> Iterator[Point]:
    """Whether enough of them live, of one release."""
    for kind in ("worker", "beat"):
        count = sum(node.kind == kind for node in alive)
        wrong = "" if count > 1 else f"there {'is one' if count else 'is none'}"
        yield Point("nodes", f"a {kind} may die: there are at least two", wrong, f"a second `anp {kind}`")
    releases = sorted({node.release or "(none)" for node in alive})
    wrong = f"they are of {', '.join(releases)}" if len(releases) > 1 else ""
    yield Point("nodes", "all are of one release", wrong, "end the ones that were left over")
    apps = sorted({app for node in alive if (app := node.news.get("app"))})
    wrong = f"they are of {', '.join(apps)}" if len(apps) > 1 else ""
    yield Point("nodes", "all are of one app", wrong, "ANP_PREFIX, another one for each app")
    for node in alive:
        if trouble := node.news.get("trouble"):
            yield Point("nodes", f"the {node.kind} {node.pid} on {node.host} has no trouble", trouble, "see its log")


def queues(alive: Sequence[Node], waiting: Sequence[Unserved], wanted: Mapping[str, str]) -> Iterator[Point]:
    """Whether somebody serves each queue that a schedule names, and each on which runs wait.

    Args:
        alive: the living nodes.
        waiting: the queues on which runs wait and that nobody serves.
        wanted: per schedule the queue that its ticks go to.
    """
    counts = {one.queue: f"{one.runs} runs wait on it" for one in waiting}
    known = served(alive)
    for name, queue in wanted.items() if known is not None and any(node.kind == "worker" for node in alive) else ():
        if queue not in (known or ()):
            counts.setdefault(queue, f"the ticks of {name} go to it")
    what = "a living worker serves each queue that is used"
    for queue, why in counts.items():
        yield Point("nodes", what, f"nobody serves {queue!r}, and {why}", f"a worker with `-Q {queue}`")
    if not counts:
        yield Point("nodes", what)


def _held(known: Settings, name: str) -> bool:
    return name in known.model_fields_set and bool(_text(getattr(known, name)))


def _text(value: Any) -> str:
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


def _password(known: Settings, name: str) -> str:
    text = _text(getattr(known, name))
    return text if name == "flower_password" else urlsplit(text).password or ""


def _guessable(variable: str, password: str) -> Point:
    wrong = ""
    if password.lower() in COMMON:
        wrong = "there is none" if not password else "everybody guesses it"
    elif len(password) < LONG:
        wrong = f"it has {len(password)} characters"
    return Point("secrets", f"the password of {variable} is hard to guess", wrong, f"`make secrets`: {LONG} or more")
