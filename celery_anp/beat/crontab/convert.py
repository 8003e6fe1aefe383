"""Turns a crontab into schedules of `system.command` and the allow-list that goes with them.

It reads what cron reads, not what the commands mean: a line that needs a shell is reported, unless a shell is
allowed, and mail is not sent (the end of the output is kept with the run instead).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from celery_anp.beat.cron import normal
from celery_anp.beat.crontab import command_line
from celery_anp.beat.crontab.command_line import UnfitError
from celery_anp.beat.crontab.idioms import ok_codes
from celery_anp.beat.crontab.toml_text import table
from celery_anp.beat.problem import from_validation
from celery_anp.beat.schedule import Schedule

TASK = "system.command"
_ASSIGNMENT = re.compile(r"""(?P<name>[A-Za-z_]\w*|"[^"]+"|'[^']+')\s*=\s*(?P<value>.*)""", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unconverted:
    """A line that has no equal here, or that loses something."""

    #: Its number, from 1.
    line: int
    #: The line.
    text: str
    #: Why, and what to do.
    reason: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A crontab as anp says it."""

    #: [[schedule]] entries, for a file of ANP_SCHEDULES.
    toml_entries: str
    #: [[command]] entries, for the file of ANP_COMMANDS.
    command_entries: str
    #: How many lines became a schedule.
    count: int
    #: Lines left out, and lines that lose something.
    unconverted: tuple[Unconverted, ...]


@dataclass
class _State:
    """What holds from a line on, and what was found so far."""

    user_column: bool
    allow_shell: bool
    timezone: str
    home: Callable[[str], str | None]
    environment: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    left: list[Unconverted] = field(default_factory=list)


def convert(
    text: str,
    *,
    user_column: bool = False,
    allow_shell: bool = False,
    timezone: str = "UTC",
    home: Callable[[str], str | None] = lambda _: None,
) -> Converted:
    """Convert a crontab.

    Args:
        text: the crontab.
        user_column: whether a user stands before the command, as in /etc/crontab.
        allow_shell: whether lines that need a shell may become `/bin/sh -c …`.
        timezone: the zone of the machine's clock, where the crontab has no CRON_TZ.
        home: the folder in which a user's jobs start, where the crontab has no HOME; the name is empty where no user
            stands before the command. None for the worker's own.

    Returns:
        Schedules, commands, and what could not be converted.
    """
    state = _State(user_column, allow_shell, timezone, home)
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            _line(stripped, number, state)
        except UnfitError as error:
            state.left.append(Unconverted(number, stripped, str(error)))
    return Converted(
        toml_entries="\n".join(table("schedule", entry) for entry in state.schedules),
        command_entries="\n".join(table("command", entry) for entry in state.commands),
        count=len(state.schedules),
        unconverted=tuple(state.left),
    )


def _line(line: str, number: int, state: _State) -> None:
    assignment = _ASSIGNMENT.fullmatch(line)
    if assignment is not None:
        _assign(assignment["name"].strip("\"'"), _unquoted(assignment["value"].strip()), state)
    else:
        _job(line, number, state)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _assign(name: str, value: str, state: _State) -> None:
    if name in ("MAILTO", "MAILFROM") and not value:
        return  # it asks for no mail, and none is sent
    if name in ("MAILTO", "MAILFROM"):
        raise UnfitError("no mail is sent: each run keeps the end of its output, failures go to ANP_ALERT_URL")
    if name == "RANDOM_DELAY":
        raise UnfitError('set jitter = "…" in the schedules that need it')
    if name == "CRON_TZ":
        state.timezone = value
    else:
        state.environment[name] = value


def _job(line: str, number: int, state: _State) -> None:
    when, rest = _split(line)
    user, written = _user(rest) if state.user_column else ("", rest)
    home = state.environment.get("HOME") or state.home(user)
    command, directory = command_line.split_directory(command_line.without_percent(written), home)
    shell = state.environment.get("SHELL", "/bin/sh") if state.allow_shell else None
    argv = command_line.argv(command, shell)
    name = command_line.name(argv, state.names)
    state.schedules.append(_schedule(name, when, state))
    state.commands.append(_command(name, argv, directory, (command, written), state))
    state.names.add(name)
    if user not in ("", "root"):
        reason = f"converted as {name!r}, but it runs as the worker's user, not as {user}"
        state.left.append(Unconverted(number, line, reason))


def _user(rest: str) -> tuple[str, str]:
    user, *command = rest.split(None, 1)
    if not command:
        raise UnfitError("no command after the user: is there a user column at all?")
    return user, command[0]


def _split(line: str) -> tuple[str, str]:
    if line.lower().startswith("@reboot"):
        raise UnfitError("nothing here boots: run it from the deploy, or as a service")
    fields = 1 if line.startswith("@") else 5
    parts = line.split(None, fields)
    if len(parts) <= fields:
        raise UnfitError("neither a time and a command, nor NAME=value")
    return normal(" ".join(parts[:fields])), parts[fields]


def _schedule(name: str, when: str, state: _State) -> dict[str, Any]:
    entry = {
        "name": name,
        "task": TASK,
        "cron": when,
        "timezone": state.timezone,
        "input": {"command": name},
        "catchup": "skip",  # as cron: what was missed is missed
    }
    try:
        Schedule.model_validate(entry)
    except ValidationError as error:
        problem = from_validation("", "", error)[0]
        raise UnfitError(f"{problem.failed}: expected {problem.expected}") from None
    return entry


def _command(
    name: str, argv: list[str], directory: str | None, texts: tuple[str, str], state: _State
) -> dict[str, Any]:
    command, written = texts
    codes = ok_codes(command)
    idle = ", ".join(map(str, codes[1:]))
    environment = {key: value for key, value in state.environment.items() if key != "SHELL"}
    return {
        "name": name,
        "argv": argv,
        "timeout": "1h",
        **({"ok_exit_codes": codes} if idle else {}),
        **({"directory": directory} if directory else {}),
        **({"environment": environment} if environment else {}),
        "note": f"from a crontab: {written}" + (f" (exit code {idle}: there was nothing to do)" if idle else ""),
    }
