"""A Lua text in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

KEYWORDS = frozenset({
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not",
    "or", "repeat", "return", "then", "true", "until", "while",
})  # fmt: skip
_WORD = re.compile(
    r"""
      (?P<space>\s+|--(?!\[=*\[)[^\n]*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)
    | (?P<text>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    | (?P<sign>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^\#<>=(){}\[\];:,.])
    """,
    re.VERBOSE,
)


class NotUnderstood(Exception):
    """This Lua is not written as the scripts are: file, line and what was met."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word: a name, keyword, number, text or sign; at the end one without letters."""

    kind: str
    text: str
    line: int


@cache
def words(text: str, part: str) -> tuple[Word, ...]:
    """All words of a text.

    Raises:
        NotUnderstood: something is none.
    """
    found, at, line = list[Word](), 0, 1
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise NotUnderstood(f"{part}:{line}: {text[at : at + 20]!r}")
        kind, word = match.lastgroup or "", match.group()
        if kind != "space":
            found.append(Word("keyword" if word in KEYWORDS else kind, word, line))
        line, at = line + word.count("\n"), match.end()
    return (*found, Word("end", "", line))
