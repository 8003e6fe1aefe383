"""Runs a command line that is on the allow-list: the way for a crontab to move here as it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel

from worker import command as allow_list
from worker import warden
from worker.app import app
from worker.command import Command
from worker.errors import AnpError, BadSetting, did_you_mean
from worker.reliability.retry import Retries
from worker.settings import settings

#: Characters of output that an error repeats.
LAST_WORDS = 400


class CommandFailedError(AnpError):
    """A command line ended in a way that does not count as success."""


class Ended(BaseModel):
    """How a command line ended."""

    #: Its exit code; 128 + the signal's number if a signal ended it.
    exit_code: int
    #: Seconds it took.
    seconds: float
    #: The end of its output, at most 16 KiB, both streams.
    tail: str
    #: Why it was ended, or None: it ended by itself.
    killed: str | None


def _is_allowed(name: str) -> str:
    """Refuses an unknown name when enqueued. Without the list there, the worker that has it decides."""
    try:
        commands = allow_list.allowed(settings().commands)
    except BadSetting:
        return name
    if name not in commands:
        raise ValueError(f"a command of the allow-list.{did_you_mean(name, commands)}")
    return name


@app.task(
    bind=True,
    name="system.command",
    owner="operations",
    expects="the command ends with an exit code that counts as success",
    lock="command:{command}",
    retries=Retries(max=0),  # a command line may not bear a second run; say so in its schedule if it does
)
def command(self: Any, command: Annotated[str, AfterValidator(_is_allowed)]) -> Ended:
    """Run one command line of the allow-list, without a shell, in its own process group, with its time limit.

    Args:
        command: its name in the file that ANP_COMMANDS names.

    Returns:
        Exit code, seconds, the end of the output.

    Raises:
        CommandFailedError: it ended with another exit code than its ok_exit_codes, or was ended.
        BadSetting, BadInput: there is no allow-list, or no such name in it.
    """
    allowed = allow_list.named(command, settings().commands)
    self.undo("command", command=command)
    return _run(self, allowed, allowed.argv)


@command.on_rollback("Runs the undo command line of the allow-list, where the command has one.")
def undo_command(self: Any, undo: Any, command: str) -> None:
    """Undo a run.

    Args:
        undo: the recorded entries; one if the command was begun.
        command: its name.
    """
    for entry in undo:
        allowed = allow_list.named(command, settings().commands)
        if allowed.undo is None:
            entry.skip(f"{command} has no undo in the allow-list")
        else:
            _run(self, allowed, allowed.undo)


def _run(task: Any, allowed: Command, argv: list[str]) -> Ended:
    outcome = warden.run(
        argv,
        time_limit=allowed.timeout,
        environment=allowed.full_environment(task.run_id),
        directory=allowed.directory,
        stop=lambda: bool(task.cancelled),
    )
    if outcome.killed or outcome.exit_code not in allowed.ok_exit_codes:
        raise _failure(allowed, outcome)
    return Ended(**{field: getattr(outcome, field) for field in Ended.model_fields})


def _failure(allowed: Command, outcome: warden.Outcome) -> CommandFailedError:
    how = f"ended by {outcome.killed}" if outcome.killed else f"exit code {outcome.exit_code}"
    return CommandFailedError(
        f"The command {allowed.name!r} failed after {outcome.seconds:.1f} s",
        expected=f"exit code {' or '.join(map(str, allowed.ok_exit_codes))} within {allowed.timeout} s",
        given=f"{how}; its last words: {outcome.tail[-LAST_WORDS:].strip() or '(none)'}",
    )
