"""The allow-list: the command lines that `system.command` may run, each under a name, in one TOML file.

Whoever can write the file decides what workers execute: so a file that everybody may write is refused.
"""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from celery_anp import duration
from celery_anp.errors import BadDeclaration, BadInput, BadSetting, did_you_mean
from celery_anp.settings import environment

#: What a command gets of our environment. The rest may hold passwords.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
#: Seconds that a command may be given: beyond it no worker keeps a child.
LONGEST = 7 * 86_400
Argv = Annotated[list[str], Field(min_length=1, max_length=1_000)]


class Command(BaseModel):
    """One [[command]] entry."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: What schedules call it.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    #: The program and its arguments, as they are; no shell reads them.
    argv: Argv
    #: Seconds after which it is ended.
    timeout: Annotated[int, BeforeValidator(duration.seconds), Field(ge=1, le=LONGEST)] = 300
    #: The folder it starts in; the worker's if None.
    directory: str | None = None
    #: Added to the few variables that are passed on.
    environment: dict[str, str] = {}
    #: Exit codes that mean success.
    ok_exit_codes: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1)] = [0]
    #: A command line that undoes it, run when its run is rolled back.
    undo: Argv | None = None
    #: Who answers for it.
    owner: str | None = None
    #: What is true after a good run.
    expects: str | None = None
    #: Anything else a reader should know.
    note: str | None = None

    @field_validator("argv", "undo")
    @classmethod
    def _program(cls, argv: list[str] | None) -> list[str] | None:
        if argv is not None and (not argv[0] or any("\0" in part for part in argv)):
            raise ValueError("a program first, and no NUL in it")
        return argv

    def full_environment(self, run_id: str | None) -> dict[str, str]:
        """The whole environment of a run.

        Args:
            run_id: given to the command as RUN_ID, a key for effects that must happen once; None for none.

        Returns:
            Variables by name.
        """
        ours = environment()
        passed = {name: ours[name] for name in PASSED_ON if name in ours}
        run = {"RUN_ID": run_id} if run_id else {}
        return {**passed, **run, **self.environment}


def allowed(path: Path | None) -> dict[str, Command]:
    """The allow-list.

    Args:
        path: its file, the setting ANP_COMMANDS.

    Returns:
        Commands by name.

    Raises:
        BadSetting: there is no file, it cannot be read, or everybody may write it.
        BadDeclaration: an entry cannot be right; the message tells all that is wrong.
    """
    if path is None:
        expected = "a TOML file with [[command]] entries: name and argv"
        raise BadSetting("ANP_COMMANDS is not set, so no command line is allowed", expected=expected)
    commands: dict[str, Command] = {}
    problems: list[str] = []
    for place, raw in enumerate(_entries(path), start=1):
        label = raw.get("name", f"#{place}") if isinstance(raw, dict) else f"#{place}"
        try:
            command = Command.model_validate(raw)
        except ValidationError as error:
            problems += [f'command "{label}", {_told(dict(found))}' for found in error.errors()]
            continue
        if command.name in commands:
            problems.append(f'command "{label}" is declared twice')
        commands[command.name] = command
    if problems:
        raise BadDeclaration(f"{path} cannot be used: " + "; ".join(problems))
    return commands


def named(name: str, path: Path | None) -> Command:
    """One command of the allow-list.

    Args:
        name: its name.
        path: the file.

    Returns:
        The command.

    Raises:
        BadInput: it is not in the list.
        BadSetting, BadDeclaration: as `allowed`.
    """
    commands = allowed(path)
    if name not in commands:
        hint = did_you_mean(name, commands)
        raise BadInput(f"{name!r} is not an allowed command.{hint}", expected=f"a command of {path}", given=name)
    return commands[name]


def _entries(path: Path) -> list[Any]:
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise BadSetting("The allow-list can be written by everybody", expected="chmod o-w", given=str(path))
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        given = f"{path}: {error.strerror}"
        raise BadSetting("ANP_COMMANDS cannot be read", expected="a TOML file", given=given) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeclaration(f"{path} is not TOML", expected="TOML in UTF-8", given=str(error)) from None
    listed = tables.pop("command", [])
    if tables or not isinstance(listed, list):
        given = ", ".join(sorted(tables)) or "[command]"
        raise BadDeclaration(f"{path} cannot be used", expected="only [[command]] entries", given=given)
    return listed


def _told(found: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"{key} is not known.{did_you_mean(key, Command.model_fields)}"
    return f"{key}: {found['msg'].removeprefix('Value error, ')}"
