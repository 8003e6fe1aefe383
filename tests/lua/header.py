"""The comment that a file of the scripts opens with.

-- What it is for.
--
-- Keys:                                        or: Keys: none
--   nodes           zset    what it is here
-- Arguments: …                                 a shared file has `Uses: …` and `Provides: …` instead of these two
-- Answer: …
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

_PART = re.compile(r"^-- (Keys|Arguments|Answer|Uses|Provides):(.*)$")
_KEY = re.compile(r"^(\S+) +(string|hash|list|zset) +(\S.*)$")


@dataclass(frozen=True)
class Header:
    """What it says."""

    purpose: str
    #: By name of a key its type.
    keys: dict[str, str]
    #: Its other parts, by their first words.
    parts: dict[str, str]

    def names(self, part: str) -> set[str]:
        """The names that a part lists, before any words about them."""
        listed = self.parts.get(part, "").split(",")
        return {item.split()[0] for item in listed if item.split() and item.split()[0].isidentifier()} - {"none"}


def header(text: str) -> Header:
    """The header of a file.

    Raises:
        ValueError: a line of it has another form.
    """
    lines = list(takewhile(lambda line: line.startswith("--"), text.split("\n")))
    blank = lines.index("--") if "--" in lines else len(lines)
    parts: dict[str, list[str]] = {}
    last = ""
    for line in lines[blank + 1 :]:
        if match := _PART.match(line):
            last, first = match.groups()
            parts[last] = [first.strip()] if first.strip() else []
        elif last and line.startswith("--   "):
            parts[last].append(line[5:])
        else:
            raise ValueError(f"{line!r} is no part of a header")
    keys = [_key(line) for line in parts.pop("Keys", ["(missing)"]) if line != "none"]
    if len(dict(keys)) < len(keys):
        raise ValueError("a key is named twice")
    return Header(" ".join(lines[:blank]), dict(keys), {name: " ".join(said) for name, said in parts.items()})


def _key(line: str) -> tuple[str, str]:
    match = _KEY.match(line)
    if match is None:
        raise ValueError(f"{line!r} is no key with its type and meaning")
    return match.group(1), match.group(2)
