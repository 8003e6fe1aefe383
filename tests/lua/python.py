"""Which fields of rows and which keys of the ledger the Python code uses."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from celery_anp.reliability import row
from celery_anp.reliability.records import Keeping, NewRun, spec_of
from tests.lua.values import Unknown

RELIABILITY = Path(row.__file__).parent
ENGINE = RELIABILITY.parent
#: Commands that change nothing.
ASKS = frozenset({
    "exists", "get", "hget", "hgetall", "hkeys", "hlen", "hmget", "lrange", "rows", "zcard", "zrange", "zrevrange",
})  # fmt: skip
#: How the code names the key of a row.
_ROW_KEY = re.compile(r"row_key\(|key\(f'run:|\brow\b")


def planned() -> set[str]:
    """The fields that a planned run can bring: those of one at which nothing stands at its default."""
    return set(spec_of(_whole(NewRun), Keeping())["row"])


def _whole(kind: Any) -> Any:
    """A value of a type, of a dataclass one with a value in each field."""
    some: Any = next((each for each in get_args(kind) if each is not type(None)), kind)
    if some in (str, int, bool):
        return {str: "x", int: 7, bool: True}[some]
    return some(**{name: _whole(of) for name, of in get_type_hints(some).items()})


@dataclass
class Code:
    """What the code uses."""

    #: By field of a row who reads it.
    read: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: By key, where it goes on with a `<`, who names it and who writes it.
    named: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    written: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def code() -> Code:
    """What the engine uses."""
    found = Code()
    for path in sorted(ENGINE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if ".key(" in text or "row_key(" in text or path.parent == RELIABILITY:
            look(found, text, in_reliability=path.parent == RELIABILITY)
    return found


def look(found: Code, text: str, *, in_reliability: bool) -> None:
    """Add what one file uses."""
    for owner, function in _functions(ast.parse(text)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                for name in _asked_of_redis(node):
                    found.read[name].add(owner)
                _keys(found, owner, function, node)
            if in_reliability:
                for name in _asked_of_row(node):
                    found.read[name].add(owner)


def _functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield owner + node.name, node


def _asked_of_redis(call: ast.Call) -> Iterator[str]:
    """The fields in `…hget(key of a row, field)`, also where the command is a text."""
    commands = [
        i for i, each in enumerate(call.args) if isinstance(each, ast.Constant) and each.value in ("hget", "hmget")
    ]
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("hget", "hmget"):
        commands = [-1]
    for at in commands:
        key, *rest = call.args[at + 1 :]
        if _ROW_KEY.search(ast.unparse(key)):
            yield from (text for each in rest for text in _texts(each))


def _asked_of_row(node: ast.AST) -> Iterator[str]:
    """The fields in `of(field)`, `row.get(field)` and `row[field]`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("of", "row.get") and node.args:
        yield from _texts(node.args[0])
    elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "row":
        yield from _texts(node.slice)


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [text for each in node.elts for text in _texts(each)]
    return []


def _keys(found: Code, owner: str, function: ast.AST, call: ast.Call) -> None:
    """The keys in `….key(name)`; who gives one to a command that changes something writes it."""
    if _is_key(call):
        for name in _names(call.args[0], function):
            found.named[name].add(owner)
    at = [i for i, each in enumerate(call.args) if _is_key(each)][:1]
    before = call.args[at[0] - 1] if at and at[0] else None
    command = before.value if isinstance(before, ast.Constant) else getattr(call.func, "attr", "")
    for key in [call.args[i] for i in at if command not in ASKS]:
        assert isinstance(key, ast.Call)
        for name in _names(key.args[0], function):
            found.written[name].add(owner)


def _is_key(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "key"
        and ast.unparse(node.func.value).endswith(("store", "self", "found"))
        and len(node.args) == 1
    )


def _names(node: ast.expr, function: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant):
        return _texts(node)
    if isinstance(node, ast.JoinedStr):
        return [start + "<" for start in _texts(node.values[0])]
    if isinstance(node, ast.IfExp):
        return [*_names(node.body, function), *_names(node.orelse, function)]
    if isinstance(node, ast.Name):
        loops = [each for each in ast.walk(function) if isinstance(each, (ast.For, ast.comprehension))]
        found = [text for each in loops if ast.unparse(each.target) == node.id for text in _texts(each.iter)]
        if found:
            return found
    raise Unknown(f"{ast.unparse(node)}: write the key as a text, so that it can be compared with keys.py")
