"""The code blocks of a Markdown file, and its words in code.

A block whose first line is a comment with a file's name is that file; blocks of one document see each other's. A block
that cannot run has `<!-- not run: reason -->` on the line before it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "RUNBOOK.md")
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One code block."""

    #: `python`, `toml`, or nothing for command lines.
    language: str
    text: str
    #: The line it begins at.
    line: int
    #: Why it does not run; empty for one that does.
    reason: str

    @property
    def file(self) -> str:
        """The name of the file that it is."""
        named = _FILE.match(self.text)
        return named[1] if named else f"block{self.line}.{'py' if self.language == 'python' else self.language}"

    @property
    def commands(self) -> list[list[str]]:
        """Each command line in words, one for each part of a pipe; without comments and leading NAME=value."""
        parts = [part for line in self.text.splitlines() for part in _parts(line)]
        return [words for words in parts if words]


def blocks(document: Path, *languages: str) -> list[Block]:
    """The code blocks of a document in some languages that run, in order."""
    return [block for block in all_blocks(document) if block.language in languages and not block.reason]


def all_blocks(document: Path) -> list[Block]:
    """Every code block of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], text[: found.start("text")].count("\n") + 1, found["reason"] or "")
        for found in _BLOCK.finditer(text)
    ]


def write(document: Path, folder: Path) -> None:
    """Write the Python and TOML blocks of a document into a folder, as the files that they are."""
    for block in blocks(document, "python", "toml"):
        (folder / block.file).write_text(block.text, encoding="utf-8")


def spans(document: Path) -> list[str]:
    """What stands in `code` in its prose."""
    return _SPAN.findall(_BLOCK.sub("", document.read_text(encoding="utf-8")))


def links(document: Path) -> list[str]:
    """Where its links go, those to other hosts left out."""
    return [link for link in _LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]


def anchors(document: Path) -> set[str]:
    """Its headings, as links name them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _parts(line: str) -> list[list[str]]:
    words = shlex.split(line, comments=True)
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&"):
            parts.append([])
        elif parts[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            parts[-1].append(word)
    return parts
