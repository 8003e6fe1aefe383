"""Errors that speak: what failed, what was expected, what was given, and whether trying again is safe.

One class per meaning. The command line prints them without a traceback; the ledger stores `type` and `message`.
"""

from __future__ import annotations

from collections.abc import Iterable


class AnpError(Exception):
    """Something failed that an operator or a developer can act on.

    Args:
        failed: what failed, as a sentence.
        expected: what would have been right.
        given: what was found instead.
        retry_safe: whether doing the same again is safe, or None where the question does not arise.
    """

    retry_safe: bool | None = None

    def __init__(self, failed: str, expected: str = "", given: str = "", retry_safe: bool | None = None) -> None:
        self.failed = failed
        self.expected = expected
        self.given = given
        if retry_safe is not None:
            self.retry_safe = retry_safe
        # All of it, so that an error that travels as Celery's result is rebuilt whole.
        super().__init__(failed, expected, given, self.retry_safe)

    def __str__(self) -> str:
        parts = [self.failed if self.failed.endswith(("?", "!")) else self.failed.rstrip(".") + "."]
        if self.expected:
            parts.append(f"Expected: {self.expected.rstrip('.')}.")
        if self.given:
            parts.append(f"Given: {self.given.rstrip('.')}.")
        if self.retry_safe is not None:
            parts.append("Safe to try again." if self.retry_safe else "Trying again will not help.")
        return " ".join(parts)


class BadUsage(AnpError):
    """A command was called with something that cannot be right. Exit code 2."""

    retry_safe = False


class BadSetting(BadUsage):
    """A setting is missing or has a value that cannot be right."""


class BadDeclaration(BadUsage):
    """A task or a schedule is declared in a way that cannot be right."""


class LostSchedules(BadDeclaration):
    """The files of schedules are empty or gone, which nobody has declared to be meant."""


class BadInput(BadUsage):
    """The input of a run does not fit the task's annotations. Never retried."""


class BadResult(AnpError):
    """A task returned something that does not fit its return annotation. Never retried."""

    retry_safe = False


class UnknownName(BadUsage):
    """A task, schedule or run was named that does not exist."""


class KeyConflict(BadUsage):
    """An idempotency key was used again with another input."""


class OtherApp(BadUsage):
    """Two apps share one ledger: the schedules of the one would end those of the other."""


class LimitExceeded(AnpError):
    """Something is larger than its limit: an input, a result, undo data, a backlog."""

    retry_safe = False


class LedgerFull(AnpError):
    """Redis is near its memory limit: planning and enqueueing are refused, settling goes on."""

    retry_safe = True


class LedgerUnavailable(AnpError):
    """Redis did not answer, is too old, or refused us."""

    retry_safe = True


class BadRequest(LedgerUnavailable):
    """Redis is there and says that it cannot do what was asked: asking again, or later, will not help."""

    retry_safe = False


class LostOwnership(AnpError):
    """This attempt no longer owns its run: its write was refused by the fence."""

    retry_safe = False


class Refused(AnpError):
    """A guard refused to do this: a pattern too wide, a key outside the prefix, a state that forbids it."""

    retry_safe = False


class Retired(AnpError):
    """This beat's schedules are not the ones that are live: it plans nothing."""


class StateLost(AnpError):
    """Redis does not know any live schedules: keys were deleted, or it was emptied."""


class BadSource(AnpError):
    """What is to be imported cannot be had, or cannot be read as what it should be."""

    retry_safe = False


class BadRows(AnpError):
    """Rows of an import are wrong, more of them than it may leave out."""

    retry_safe = False


class DatabaseTrouble(AnpError):
    """The site's database does not answer, is locked, or its disk is full. Nothing half done was left."""

    retry_safe = True


class BodyExited(AnpError):
    """A body asked its process to exit, or was left by another exception that is none of `Exception`'s."""


class RunEnded(AnpError):
    """A run ended without success: skipped, expired, cancelled, quarantined or failed."""

    retry_safe = False


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known names.

    Args:
        name: what was given.
        known: the names that exist.

    Returns:
        ` Did you mean "…"?`, or an empty string when nothing is near.
    """
    import difflib  # only a wrong name pays for it

    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
