"""A crontab's command as a program and its arguments, where that needs no shell; and a name for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterator

_SHELL_SIGNS = re.compile(r"[|&;<>()$`*?\[\n]|(?:^|\s)(?:[~#!]|\{(?!\}))|\{[^}\s]*,|^\s*\w+=")
_SHELL_WORDS = {".", "cd", "export", "if", "for", "while", "source", "ulimit", "umask", "eval", "exec", "set"}
_DIRECTORY = re.compile(
    r"""cd\s+(?P<quote>["']?)(?P<directory>[\w./~${}-]+)(?P=quote)\s*(?:&&|;)\s*(?P<rest>.+)""", re.DOTALL
)
_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
_QUIET = re.compile(r"\s*(?:>>?\s*/dev/null\s+2>&1|&>\s*/dev/null|2>&1)\s*$")
_RUNNERS = frozenset({
    "env", "flock", "ionice", "nice", "nohup", "sudo", "timeout",
    "sh", "bash", "php", "perl", "python", "python3",
})  # fmt: skip


class UnfitError(ValueError):
    """A line that cannot be converted; the message is the reason."""


def without_percent(command: str) -> str:
    """A command without cron's own signs: a bare % ends it, `\\%` is a percent sign.

    Args:
        command: as it stands in the crontab.

    Returns:
        The command as the shell would get it.

    Raises:
        UnfitError: it has a bare %, which feeds it the rest of the line.
    """
    if re.search(r"(?<!\\)%", command):
        raise UnfitError(r"a bare % feeds it the rest of the line; here it has no input (write \% for a %)")
    return command.replace(r"\%", "%")


def split_directory(command: str, home: str | None) -> tuple[str, str | None]:
    """A command that begins with `cd folder &&`, taken apart.

    Args:
        command: a command line.
        home: the folder that it starts in; None where nobody knows it.

    Returns:
        The rest and the folder that it runs in.
    """
    found = _DIRECTORY.fullmatch(command)
    if found is None:
        return command, home
    folder = _HOME.sub(home, found["directory"], count=1) if home else found["directory"]
    known = re.fullmatch(r"/[\w./-]*", folder if folder.startswith("/") else f"{home}/{folder}")
    return (found["rest"], known[0]) if known else (command, home)


def argv(command: str, shell: str | None) -> list[str]:
    """A command line as a program and its arguments.

    Args:
        command: a command line.
        shell: the shell for a line that needs one; None allows none.

    Returns:
        The words. What only silences the output is left out: the output is kept with the run.

    Raises:
        UnfitError: it needs a shell and none is allowed, or its quotes do not close.
    """
    plain = _QUIET.sub("", command)
    try:
        words = shlex.split(plain)
    except ValueError as error:
        raise UnfitError(f"its quotes cannot be read: {error}") from None
    signs = _shell_signs(plain)
    if words and words[0] not in _SHELL_WORDS and not signs:
        return words
    if shell is None:
        reason = signs or (words[0] if words else "nothing but output")
        raise UnfitError(f"it needs a shell ({reason}): allow one with --allow-shell, or put it into a script")
    return [shell, "-c", command]


def _shell_signs(command: str) -> str:
    """What a shell would act on: signs outside of quotes, and $ and ` in double quotes."""
    bare = re.sub(r"'[^']*'|\\.", "_", command)
    in_double = "".join(re.findall(r'"([^"]*)"', bare))
    signs = _SHELL_SIGNS.findall(re.sub(r'"[^"]*"', "_", bare)) + re.findall(r"[$`]", in_double)
    return " ".join(dict.fromkeys(sign.strip() for sign in signs))


def name(words: list[str], taken: Container[str]) -> str:
    """A name for a command line.

    Args:
        words: program and arguments.
        taken: names that are given already.

    Returns:
        A name of its own, made of the program and what it is told to do: `backup`, `manage-clearsessions`.
    """
    text = re.sub(r"[^a-z0-9]+", "-", " ".join(_telling(words)).lower())
    base = text.strip("-")[:48].strip("-") or "command"
    numbered = (f"{base}-{number}" for number in range(2, 100_000))
    return base if base not in taken else next(each for each in numbered if each not in taken)


def _telling(words: list[str]) -> Iterator[str]:
    """The program without its folder, and the first word that says what it does."""
    words = words[2].split() if words[1:2] == ["-c"] else words
    names = [word.rpartition("/")[2] for word in words if not word.startswith("-") and "=" not in word]
    while len(names) > 1 and names[0] in _RUNNERS:
        names.pop(0)
    yield re.sub(r"\.(?:sh|py|php|pl|rb)$", "", names[0] if names else "")
    if names[1:] and re.fullmatch(r"[A-Za-z][\w-]{1,20}", names[1]):
        yield names[1]
