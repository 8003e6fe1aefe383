"""From a text to its tree; each name finds its declaration on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.lua.tree import (
    Assign,
    Call,
    Entry,
    Function,
    Group,
    Index,
    Name,
    Node,
    Operation,
    Plain,
    Table,
    Text,
    Variable,
)
from tests.lua.words import NotUnderstood, Word, words

#: Sign to how tightly it binds its left and its right side.
BINARY = {
    "or": (1, 1), "and": (2, 2), "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "==": (3, 3),
    "..": (5, 4), "+": (6, 6), "-": (6, 6), "*": (7, 7), "/": (7, 7), "%": (7, 7), "^": (10, 9),
}  # fmt: skip
UNARY = {"not": 8, "#": 8, "-": 8}
Scope = dict[str, Variable]


class Parser:
    """Reads one file.

    Args:
        text: the file.
        part: its name.
        seen: what the files before it declare; what this one declares is added.
    """

    def __init__(self, text: str, part: str, seen: Scope) -> None:
        self.words = words(text, part)
        self.part = part
        self.at = 0
        self.scopes = [seen]
        #: Every local of this file.
        self.declared: list[Variable] = []
        self._statements: dict[str, Callable[[], list[Node]]] = {
            "local": self._local, "if": self._if, "while": self._while, "for": self._for, "repeat": self._repeat,
            "do": self._do, "return": self._return, "break": lambda: [], "function": self._function, ";": lambda: [],
        }  # fmt: skip

    def read(self) -> Group:
        """The whole file."""
        block = self._inner()
        self._take("")
        return block

    # -- words ------------------------------------------------------------------------------------

    @property
    def word(self) -> Word:
        """The next one."""
        return self.words[self.at]

    def _take(self, text: str | None = None, kind: str = "") -> Word:
        word = self.word
        if (text is not None and word.text != text) or (kind and word.kind != kind):
            raise NotUnderstood(f"{self.part}:{word.line}: {word.text!r} where {text or kind!r} was expected")
        self.at += 1
        return word

    def _accept(self, *texts: str) -> bool:
        met = self.word.kind in ("keyword", "sign") and self.word.text in texts
        self.at += met
        return met

    # -- names ------------------------------------------------------------------------------------

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self.scopes.append({})
        yield
        self.scopes.pop()

    def _declare(self, word: Word, *values: Node, source: Node | None = None) -> Name:
        variable = Variable(word.text, self.part, word.line, len(self.scopes) == 1, list(values), source)
        self.scopes[-1][word.text] = variable
        self.declared.append(variable)
        return Name(word.line, word.text, variable)

    def _name(self) -> Name:
        word = self._take(kind="name")
        found = next((scope[word.text] for scope in reversed(self.scopes) if word.text in scope), None)
        return Name(word.line, word.text, found)

    def _names(self) -> list[Word]:
        found = [self._take(kind="name")]
        while self._accept(","):
            found.append(self._take(kind="name"))
        return found

    # -- statements -------------------------------------------------------------------------------

    def _inner(self) -> Group:
        line, inner = self.word.line, list[Node]()
        while self.word.kind != "end" and self.word.text not in ("end", "else", "elseif", "until"):
            inner.append(self._statement())
        return Group(line, inner)

    def _block(self) -> Group:
        with self._scope():
            return self._inner()

    def _statement(self) -> Node:
        word = self.word
        if word.kind in ("keyword", "sign") and word.text in self._statements:
            self.at += 1
            return Group(word.line, self._statements[word.text]())
        return self._plain()

    def _plain(self) -> Node:
        targets = [self._suffixed()]
        while self._accept(","):
            targets.append(self._suffixed())
        if isinstance(targets[0], Call):
            return targets[0]
        line = self._take("=").line
        values = self._expressions()
        self._set(targets, values)
        return Assign(line, targets, values)

    def _set(self, targets: list[Node], values: list[Node]) -> None:
        """A name that is set is not read by that."""
        for i, target in enumerate(targets):
            if isinstance(target, Name) and target.variable:
                target.variable.values.append(values[min(i, len(values) - 1)])

    def _local(self) -> list[Node]:
        if self._accept("function"):
            name = self._declare(self._take(kind="name"))
            return [self._named(name)]
        line, names = self.word.line, self._names()
        values = self._expressions() if self._accept("=") else []
        held: list[list[Node]] = [values[i : i + 1] or values[-1:] for i in range(len(names))]
        return [Assign(line, [self._declare(name, *of) for name, of in zip(names, held, strict=True)], values)]

    def _function(self) -> list[Node]:
        return [self._named(self._name())]

    def _named(self, name: Name) -> Assign:
        body = self._body()
        self._set([name], [body])
        return Assign(name.line, [name], [body])

    def _if(self) -> list[Node]:
        inner = [self._expression(), *self._then()]
        while self._accept("elseif"):
            inner += [self._expression(), *self._then()]
        if self._accept("else"):
            inner.append(self._block())
        self._take("end")
        return inner

    def _then(self) -> list[Node]:
        self._take("then")
        return [self._block()]

    def _while(self) -> list[Node]:
        return [self._expression(), *self._do_block()]

    def _do_block(self) -> list[Node]:
        self._take("do")
        return self._do()

    def _do(self) -> list[Node]:
        block = self._block()
        self._take("end")
        return [block]

    def _for(self) -> list[Node]:
        names = self._names()
        self._accept("=") or self._take("in")
        sources = self._expressions()
        with self._scope():
            for name in names:
                self._declare(name, source=sources[0])
            return [*sources, *self._do_block()]

    def _repeat(self) -> list[Node]:
        with self._scope():
            block = self._inner()
            self._take("until")
            return [block, self._expression()]

    def _return(self) -> list[Node]:
        ends = self.word.kind == "end" or self.word.text in ("end", "else", "elseif", "until", ";")
        return [] if ends else self._expressions()

    # -- expressions ------------------------------------------------------------------------------

    def _expressions(self) -> list[Node]:
        found = [self._expression()]
        while self._accept(","):
            found.append(self._expression())
        return found

    def _expression(self, least: int = 0) -> Node:
        word = self.word
        if word.kind != "text" and self._accept(*UNARY):
            left: Node = Operation(word.line, word.text, None, self._expression(UNARY[word.text]))
        else:
            left = self._simple()
        while self.word.kind in ("keyword", "sign") and BINARY.get(self.word.text, (0, 0))[0] > least:
            sign = self._take()
            left = Operation(sign.line, sign.text, left, self._expression(BINARY[sign.text][1]))
        return left

    def _simple(self) -> Node:
        word = self.word
        if word.kind == "number" or self._is("nil", "true", "false", "..."):
            return Plain(word.line, self._take().text)
        if self._accept("function"):
            return self._body()
        if word.kind == "text" or self._is("{"):
            return self._text_or_table()
        return self._suffixed()

    def _is(self, *texts: str) -> bool:
        return self.word.kind in ("keyword", "sign") and self.word.text in texts

    def _text_or_table(self) -> Node:
        word = self._take()
        if word.kind == "text":
            return Text(word.line, word.text[1:-1])
        entries = []
        while not self._accept("}"):
            entries.append(self._entry())
            self._accept(",", ";")
        return Table(word.line, entries)

    def _entry(self) -> Entry:
        line, key = self.word.line, None
        if self._accept("["):
            key = self._expression()
            self._take("]")
            self._take("=")
        elif self.word.kind == "name" and self.words[self.at + 1].text == "=":
            key = Text(line, self._take().text)
            self._take("=")
        return Entry(line, key, self._expression())

    def _suffixed(self) -> Node:
        if self._accept("("):
            found: Node = self._expression()
            self._take(")")
        else:
            found = self._name()
        return self._followed(found)

    def _followed(self, found: Node) -> Node:
        while True:
            line = self.word.line
            if self._accept("."):
                found = Index(line, found, Text(line, self._take(kind="name").text))
            elif self._accept("["):
                found = Index(line, found, self._expression())
                self._take("]")
            elif self._accept(":"):
                method = self._take(kind="name").text
                self._take("(")
                found = Call(line, found, self._arguments(), method)
            elif self._accept("("):
                found = Call(line, found, self._arguments())
            elif self.word.kind == "text":
                found = Call(line, found, [self._text_or_table()])
            else:
                return found

    def _arguments(self) -> list[Node]:
        if self._accept(")"):
            return []
        given = self._expressions()
        self._take(")")
        return given

    def _body(self) -> Function:
        line = self._take("(").line
        with self._scope():
            while not self._accept(")"):
                self._declare(self._take()) if self.word.kind == "name" else self._take("...")
                self._accept(",")
            block = self._inner()
        self._take("end")
        return Function(line, block)
