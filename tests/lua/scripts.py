"""The scripts, put together as the store does it, as trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from celery_anp.reliability import keyspace
from tests.lua.parser import Parser, Scope
from tests.lua.tree import Assign, Name, Node, Variable

FOLDER = keyspace.SCRIPTS
#: Where Python's own line stands.
GIVEN = "given"


@dataclass(frozen=True, eq=False)
class Part:
    """One file."""

    name: str
    text: str
    #: All of its tree.
    nodes: tuple[Node, ...]
    #: Its local names.
    declared: tuple[Variable, ...]

    def sets(self) -> list[Name]:
        """Names that it sets."""
        return [
            name for node in self.nodes if isinstance(node, Assign) for name in node.targets if isinstance(name, Name)
        ]

    def reads(self) -> list[Name]:
        """Names that it reads: all but those that it sets."""
        targets = {id(name) for name in self.sets()}
        return [node for node in self.nodes if isinstance(node, Name) and id(node) not in targets]


def parse(name: str, text: str, seen: Scope) -> Part:
    """One file, behind those that declared what is seen already."""
    parser = Parser(text, name, seen)
    part = Part(name, text, tuple(parser.read().walk()), tuple(parser.declared))
    for read in part.reads():
        if read.variable:
            read.variable.readers.add(name)
    return part


def names() -> list[str]:
    """The scripts that Python calls."""
    return sorted({path.stem for path in FOLDER.rglob("*.lua")} - shared())


def shared() -> set[str]:
    """The files that scripts are put behind."""
    return {*keyspace.SHARED, "planning"}


@cache
def _before(order: tuple[str, ...]) -> tuple[tuple[Part, ...], Scope]:
    """What a script is put behind, and what that declares."""
    seen: Scope = {}
    given = parse(GIVEN, keyspace.GIVEN, seen)
    return (given, *(parse(name, keyspace.part_text(name), seen) for name in order)), seen


def assemble(name: str) -> list[Part]:
    """All parts of a script, itself the last."""
    (*order, _) = keyspace.parts_of(name)
    parts, seen = _before(tuple(order))
    return [*parts, parse(name, keyspace.part_text(name), dict(seen))]


def before(name: str) -> Scope:
    """What the files that a script is put behind declare."""
    (*order, _) = keyspace.parts_of(name)
    return dict(_before(tuple(order))[1])


def forget() -> None:
    """Read the shared files again."""
    _before.cache_clear()


def all_parts() -> list[Part]:
    """Each file once, behind all shared ones."""
    parts, seen = _before((*keyspace.SHARED, "planning"))
    return [*parts[1:], *(parse(name, keyspace.part_text(name), dict(seen)) for name in names())]
