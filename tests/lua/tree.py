"""What a Lua text consists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(slots=True, eq=False)
class Variable:
    """A local name."""

    name: str
    #: The file that declares it.
    part: str
    line: int
    #: Declared outside every block, so that later files see it.
    top: bool
    #: What it is set to, also later on; what a loop takes its values from.
    values: list[Node] = field(default_factory=list)
    source: Node | None = None
    #: The files that read it.
    readers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Node:
    """Anything in the tree."""

    line: int

    def parts(self) -> Iterator[Node]:
        """What it directly consists of."""
        for each in fields(self):
            held = getattr(self, each.name)
            yield from (
                part for part in (held if isinstance(held, (list, tuple)) else [held]) if isinstance(part, Node)
            )

    def walk(self) -> Iterator[Node]:
        """It and everything in it."""
        yield self
        for part in self.parts():
            yield from part.walk()


@dataclass(slots=True)
class Text(Node):
    """A string."""

    value: str


@dataclass(slots=True)
class Plain(Node):
    """A number, nil, true, false or `...`."""

    word: str


@dataclass(slots=True)
class Name(Node):
    """A name, with its declaration; none for a global."""

    name: str
    variable: Variable | None


@dataclass(slots=True)
class Index(Node):
    """`of[key]` or `of.key`."""

    of: Node
    key: Node


@dataclass(slots=True)
class Call(Node):
    """`of(given)` or `of:method(given)`."""

    of: Node
    given: list[Node]
    method: str = ""

    @property
    def called(self) -> str:
        """What is called, as it is written: `redis.call`, `get`; empty for anything else."""
        if isinstance(self.of, Name):
            return self.of.name
        if isinstance(self.of, Index) and isinstance(self.of.of, Name) and isinstance(self.of.key, Text):
            return f"{self.of.of.name}.{self.of.key.value}"
        return ""


@dataclass(slots=True)
class Entry(Node):
    """A place in a table; without a key, the next number."""

    key: Node | None
    value: Node


@dataclass(slots=True)
class Table(Node):
    """`{ … }`."""

    entries: list[Entry]


@dataclass(slots=True)
class Function(Node):
    """`function (…) … end`."""

    block: Node


@dataclass(slots=True)
class Operation(Node):
    """`left sign right`, or `sign right`."""

    sign: str
    left: Node | None
    right: Node


@dataclass(slots=True)
class Assign(Node):
    """`targets = values`, also with `local` and as `function name`."""

    targets: list[Node]
    values: list[Node]


@dataclass(slots=True)
class Group(Node):
    """A block, or a statement with what stands in it."""

    inner: list[Node]
