"""Runs a command line that is on the allow-list: the way for a crontab to move here as it is."""

from __future__ import annotations

from typing import Annotated, Any

from celery import shared_task
from pydantic import AfterValidator, BaseModel

from celery_anp.errors import AnpError, BadInput, BadSetting, did_you_mean
from celery_anp.process import group
from celery_anp.reliability.retry import Retries
from celery_anp.settings import settings
from celery_anp.task import ReliableTask
from celery_anp.tasks import allow_list
from celery_anp.tasks.allow_list import Command

#: Characters of output that an error repeats.
LAST_WORDS = 400


#: Seconds in which a command that was told to end does.
SPARE = 60


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


class CommandTask(ReliableTask):
    """`system.command`, with its rollback."""

    rollback_note = "Runs the undo command line of the allow-list, where the command has one."

    def rollback(self, undo: Any, command: str) -> None:
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


@shared_task(
    bind=True,
    base=CommandTask,
    name="system.command",
    owner="operations",
    expects="the command ends with an exit code that counts as success",
    lock="command:{command}",
    retries=Retries(max=0),  # a command line may not bear a second run; say so in its schedule if it does
    soft_time_limit=allow_list.LONGEST + SPARE,  # above any command's own, which so is the one that ends it
    time_limit=allow_list.LONGEST + 2 * SPARE,
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
    _refuse_beyond_limit(self, allowed)
    self.undo("command", command=command)
    return _run(self, allowed, allowed.argv)


def _refuse_beyond_limit(task: Any, allowed: Command) -> None:
    """A call may have brought a time limit of its own: one that ends the worker's child before the command."""
    limits = [limit for limit in (task.request.timelimit or ()) if limit]
    if limits and min(limits) < allowed.timeout + SPARE:
        raise BadInput(
            f"The command {allowed.name!r} may take longer than this run",
            expected=f"a time limit of at least {allowed.timeout + SPARE} s, or none",
            given=f"{min(limits):g} s",
        )


def _run(task: Any, allowed: Command, argv: list[str]) -> Ended:
    outcome = group.run(
        argv,
        time_limit=allowed.timeout,
        environment=allowed.full_environment(task.run_id),
        directory=allowed.directory,
        stop=lambda: bool(task.cancelled),
    )
    if outcome.killed or outcome.exit_code not in allowed.ok_exit_codes:
        raise _failure(allowed, outcome)
    return Ended(**{field: getattr(outcome, field) for field in Ended.model_fields})


def _failure(allowed: Command, outcome: group.Outcome) -> CommandFailedError:
    how = f"ended by {outcome.killed}" if outcome.killed else f"exit code {outcome.exit_code}"
    return CommandFailedError(
        f"The command {allowed.name!r} failed after {outcome.seconds:.1f} s",
        expected=f"exit code {' or '.join(map(str, allowed.ok_exit_codes))} within {allowed.timeout} s",
        given=f"{how}; its last words: {outcome.tail[-LAST_WORDS:].strip() or '(none)'}",
    )
