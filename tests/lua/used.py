"""Which fields of rows and which keys a file of the scripts uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.lua.scripts import Part
from tests.lua.tree import Assign, Call, Index, Name, Node, Table, Text
from tests.lua.values import key_names, strings

#: The functions of base.lua that read or write the row of a run, and that know no field by its name.
ACCESS = frozenset({"get", "number", "set", "unset", "exists", "make", "row_key", "enter", "note"})
READS = frozenset({"get", "number"})
#: Commands that change nothing.
ASKS = frozenset({
    "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "LINDEX", "LPOS", "LRANGE", "PUBLISH",
    "TIME", "ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE",
})  # fmt: skip
#: Commands that change only how long a key lives.
LIFE = frozenset({"PERSIST", "PEXPIRE"})


@dataclass
class Fields:
    """The fields of rows that a file names."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


def fields_of(part: Part) -> Fields:
    """The fields of rows that a file reads and writes."""
    found = Fields()
    targets = {id(target) for node in part.nodes if isinstance(node, Assign) for target in node.targets}
    for node in part.nodes:
        if isinstance(node, Call):
            found.read |= {text for name in _asked(node) if not _passed_on(name) for text in strings(name)}
            found.written |= {text for name in _given(node) if not _passed_on(name) for text in strings(name)}
        elif isinstance(node, Index) and _is_row(node.of) and isinstance(node.key, Text):
            (found.written if id(node) in targets else found.read).add(node.key.value)
    return found


def _asked(call: Call) -> list[Node]:
    return call.given[1:2] if call.called in READS else []


def _given(call: Call) -> Iterator[Node]:
    if call.called == "unset":
        yield from call.given[1:]
    if call.called == "set":
        first = call.given[1]
        listed = _listed(first) if isinstance(first, Call) and first.called == "unpack" else call.given[1:]
        yield from listed[::2]


def _passed_on(node: Node) -> bool:
    """In base.lua's own functions the field is an argument: their callers name it."""
    found = node.variable if isinstance(node, Name) else None
    return bool(found and found.part == "base" and not found.values)


def _listed(unpack: Call) -> list[Node]:
    """What the list begins with; a spec's fields, which a loop adds, are Python's."""
    (name,) = unpack.given
    assert isinstance(name, Name)
    assert name.variable
    (table,) = name.variable.values
    assert isinstance(table, Table)
    return [entry.value for entry in table.entries]


def _is_row(node: Node) -> bool:
    """`row`, or `….row`."""
    if isinstance(node, Name):
        return node.name == "row"
    return isinstance(node, Index) and isinstance(node.key, Text) and node.key.value == "row"


def keys_of(part: Part) -> set[str]:
    """The keys that a file names, as `key_names` writes them; also a row's, and those that a row's field names."""
    found = {name for node in part.nodes for name in key_names(node)}
    for node in part.nodes:
        if isinstance(node, Call) and node.called in ACCESS:
            found.add("run:<")
    return found


def written_by(part: Part) -> set[str]:
    """The keys that a file writes."""
    found = set()
    for node in part.nodes:
        if isinstance(node, Call) and node.called == "redis.call" and isinstance(node.given[0], Text):
            command = node.given[0].value
            if command not in ASKS | LIFE:
                places = node.given[1:] if command in ("UNLINK", "RENAMENX") else node.given[1:2]
                found |= {name for place in places for name in key_names(place)}
    return found
