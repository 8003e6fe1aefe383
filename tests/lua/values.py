"""What strings an expression can be, as far as its text tells."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lua.tree import Call, Name, Node, Operation, Table, Text


class Unknown(Exception):
    """The text does not tell."""


def strings(node: Node) -> set[str]:
    """The strings that it can be.

    Raises:
        Unknown: it can be something that does not stand in the text.
    """
    if isinstance(node, Text):
        return {node.value}
    if isinstance(node, Operation) and node.sign == "and":
        return strings(node.right)
    if isinstance(node, Operation) and node.sign == "or" and node.left:
        return strings(node.left) | strings(node.right)
    if isinstance(node, Name):
        return {text for value in origins(node) for text in strings(value)}
    raise Unknown(f"line {node.line}: write it as a text, so that it can be compared with its table")


def origins(name: Name) -> list[Node]:
    """What a name was set to, or the items of the table that its loop goes through.

    Raises:
        Unknown: it comes from elsewhere.
    """
    found = name.variable
    if found and found.values:
        return found.values
    source = found and found.source
    if isinstance(source, Call) and source.called == "ipairs" and isinstance(source.given[0], Table):
        return [entry.value for entry in source.given[0].entries]
    raise Unknown(f"line {name.line}: {name.name} comes from elsewhere")


def chained(node: Node) -> list[Node]:
    """`a .. b .. c` as its parts."""
    if isinstance(node, Operation) and node.sign == ".." and node.left:
        return [*chained(node.left), *chained(node.right)]
    return [node]


def key_names(node: Node) -> Iterator[str]:
    """The ledger's keys that an expression can be, behind the prefix; those that go on end with `<`.

    A name stands for what it was set to. What is no key gives nothing.
    """
    first, *rest = chained(node)
    if isinstance(first, Name) and first.name == "P" and rest:
        yield from (text + "<" * (len(rest) > 1) for text in strings(rest[0]))
    elif isinstance(node, Call) and node.called == "row_key":
        yield "run:<"
    elif isinstance(node, Call) and node.called == "get" and isinstance(node.given[1], Text):
        yield from {f"row.{node.given[1].value}"} & {"row.list", "row.meta_key"}
    elif isinstance(node, Name) and node.variable and (node.variable.values or node.variable.source):
        try:
            found = origins(node)
        except Unknown:
            return
        for value in found:
            if value is not node:
                yield from key_names(value)
