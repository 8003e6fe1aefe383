"""Exit codes by which a line of a crontab says that there was nothing to do. cron looks at no exit code; a run does.

Limit: an exit code of the job itself that is the same number counts as nothing to do as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

#: One piece of a shell line: what is quoted or substituted, an operator, or the text between.
_PIECE = re.compile(
    r"""'[^']*' | "(?:\\.|[^"\\])*" | \\. | `[^`]*` | \d*[<>]+&\d* | &>>? | && | \|\| | [;&|\n()] | . """,
    re.DOTALL | re.VERBOSE,
)
_OPERATORS = frozenset({"&&", "||", ";", "&", "|", "\n"})
#: What only asks, and answers by its exit code: 1 is no. dash says 127 where a command is looked for in vain.
_QUESTION = re.compile(
    r"(?:!\s*)?(?:(?:/usr)?/bin/)?"
    r"(?:(?P<plain>test|\[\[?|e?grep|pgrep|pidof|mountpoint)|(?P<search>command\s+-[vV]|which|type|hash))\s"
)
_COMPOUND = re.compile(r"(?:if|for|while|until|case|\{)\s|\(")
_EXIT = re.compile(r"exit\s+(\d{1,3})\s*\}?$")
_FLOCK = re.compile(r"(?:^|[\s;&|(/])flock\s+(?P<options>(?:-\S+\s+(?:\d+(?:\.\d+)?\s+)?)*)")
_GIVES_UP = re.compile(r"(?:^|\s)(?:-[a-zA-DF-Z]*[nw]|--(?:nb|nonblock|wait|timeout)\b)")
_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*\"""")
_LEAVES = re.compile(r"[^;&|\n()]*\|\|\s*(?:\{[^}]*?)?exit\s+(\d{1,3})")
_CONFLICT = re.compile(r"(?:-E\s*|--conflict-exit-code[=\s]\s*)(\d+)")


def ok_codes(command: str) -> list[int]:
    """The exit codes with which a command has done its work or found none.

    Args:
        command: a command line as a shell gets it.

    Returns:
        0, and whatever else says that a lock was held or a condition was not met.
    """
    parts = list(_parts(command))
    return sorted({0, *_unasked(parts), *_left(parts), *_held(command)})


def _parts(command: str) -> Iterator[tuple[str, str]]:
    """Each command of a line with the operator after it; what stands in brackets is one command."""
    depth, text = 0, ""
    for piece in _PIECE.findall(command):
        depth += (piece == "(") - (piece == ")")
        if depth == 0 and piece in _OPERATORS:
            yield text.strip(), piece
            text = ""
        else:
            text += piece
    yield text.strip(), ""


def _unasked(parts: list[tuple[str, str]]) -> Iterator[int]:
    """`test -x job && job`: where the answer is no, it is the exit code of the whole line."""
    first = next((place for place, (_, operator) in enumerate(parts) if operator != "|"), 0)
    asked, operator = parts[first]
    question, rest = _QUESTION.match(asked + " "), parts[first + 1 :]
    if question is None or operator != "&&" or not rest:
        return
    compound = _COMPOUND.match(rest[0][0] + " ")
    if compound or all(operator in ("&&", "|", "") for _, operator in rest):
        yield 1
        if question["search"]:
            yield 127


def _left(parts: list[tuple[str, str]]) -> Iterator[int]:
    """`[ -f file ] || exit 1; job`: it leaves with a code of its own."""
    for (asked, operator), (then, _) in pairwise(parts):
        left = _EXIT.search(then)
        if left and operator in ("&&", "||") and _QUESTION.match(asked + " "):
            yield int(left[1])


def _held(command: str) -> Iterator[int]:
    """`flock -n lock job`: the lock is held, so the job runs already."""
    bare = _QUOTED.sub("_", command)
    for found in _FLOCK.finditer(bare):
        if _GIVES_UP.search(found["options"]):
            conflict = _LEAVES.match(bare, found.end()) or _CONFLICT.search(found["options"])
            yield int(conflict[1]) if conflict else 1
