"""What is wrong with the scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from celery_anp.reliability.keys import FOREIGN, KEYS, Key
from tests.lua import scripts
from tests.lua.header import header
from tests.lua.scripts import Part
from tests.lua.used import keys_of

#: What Redis gives to a script, of Lua's own library and of itself.
GIVEN_BY_REDIS = frozenset({
    "redis", "cjson", "KEYS", "ARGV", "string", "table", "math", "tonumber", "tostring", "type", "ipairs",
    "pairs", "next", "unpack", "select", "error", "pcall",
})  # fmt: skip
WIDTH = 120
#: By the name as `used.keys_of` writes it.
KNOWN: dict[str, Key] = {key.short: key for key in (*KEYS, *FOREIGN)}


def undeclared(part: Part) -> Iterator[str]:
    """Names that are neither local nor Redis' own; a global that is set, whatever its name is."""
    for name in part.reads():
        if name.variable is None and name.name not in GIVEN_BY_REDIS:
            yield f"{part.name}:{name.line}: {name.name} is declared nowhere"
    for name in part.sets():
        if name.variable is None:
            yield f"{part.name}:{name.line}: {name.name} is set and not declared: a global"


def unread(part: Part) -> Iterator[str]:
    """Local names that nothing reads. A shared file's own are for others."""
    for variable in part.declared:
        if not variable.readers and variable.name != "_" and not (variable.top and part.name in scripts.shared()):
            yield f"{part.name}:{variable.line}: nothing reads {variable.name}"


def wide(part: Part) -> Iterator[str]:
    """Lines that are too long."""
    for number, line in enumerate(part.text.split("\n"), 1):
        if len(line) > WIDTH:
            yield f"{part.name}:{number}: {len(line)} characters, more than {WIDTH}"


def unlike_its_header(part: Part) -> Iterator[str]:
    """Keys that the text touches and the header does not name, and the other way round; parts that are missing."""
    try:
        said = header(part.text)
    except ValueError as error:
        yield f"{part.name}: {error}"
        return
    shared = part.name in scripts.shared()
    wanted = {"Uses", "Provides"} if shared else {"Arguments", "Answer"}
    if said.parts.keys() != wanted or not said.purpose:
        yield f"{part.name}: its header has {sorted(said.parts)} instead of {sorted(wanted)}"
    touched = {KNOWN[key].name if key in KNOWN else key for key in keys_of(part)}
    yield from _compared(part.name, "key", said.keys, touched)
    for name, kind in said.keys.items():
        known = next((key for key in KNOWN.values() if key.name == name), None)
        if known is None or known.kind != kind:
            yield f"{part.name}: {name} ({kind}) is not in keys.py"


def unlike_what_it_lends(parts: Iterable[Part]) -> Iterator[str]:
    """Names of shared files that their headers do not say as others use them."""
    lent: dict[str, set[str]] = defaultdict(set)
    used: dict[str, set[str]] = defaultdict(set)
    all_of = list(parts)
    for part in all_of:
        for name in (*part.reads(), *part.sets()):
            if name.variable and name.variable.part != part.name:
                lent[name.variable.part].add(name.name)
                used[part.name].add(name.name)
    for part in all_of:
        if part.name in scripts.shared():
            said = header(part.text)
            yield from _compared(part.name, "used name", said.names("Uses"), used[part.name])
            yield from _compared(part.name, "provided name", said.names("Provides"), lent[part.name])
            own = {variable.name for variable in part.declared if variable.top and not variable.readers}
            yield from (f"{part.name}: nothing reads {name}" for name in sorted(own - lent[part.name]))


def _compared(part: str, what: str, said: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    for name in sorted(set(found) - set(said)):
        yield f"{part}: the {what} {name} is not in its header"
    for name in sorted(set(said) - set(found)):
        yield f"{part}: its header has the {what} {name}, which its text has not"


def findings() -> list[str]:
    """All that is wrong, in every script as it is put together."""
    parts = dict.fromkeys(part for script in scripts.names() for part in scripts.assemble(script)[1:])
    found = [line for part in parts for line in in_one(part)]
    return [*dict.fromkeys(found), *unlike_what_it_lends(scripts.all_parts())]


def in_one(part: Part) -> list[str]:
    """What is wrong in one file, behind those that it stands behind."""
    return [*undeclared(part), *unread(part), *wide(part), *unlike_its_header(part)]
