"""Texts of the demo's posts: the same number always gives the same post.

Titles are every combination of a phrase, a subject and one of its things, shuffled once; bodies are drawn
from sentences about the subject and sentences that fit every subject.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

SEED = 1969
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Text:
    """One post as written."""

    title: str
    slug: str
    #: Plain text.
    excerpt: str
    #: HTML.
    body: str
    tags: tuple[str, ...]


def text(number: int) -> Text:
    """Write a post.

    Args:
        number: which one, from 0.

    Returns:
        The post; its slug is its own as long as the combinations last, and numbered after that.
    """
    titles = _titles()
    around, place = divmod(number, len(titles))
    phrase, index, thing = titles[place]
    draw = random.Random(SEED * 1_000_003 + number)  # noqa: S311  repeatable on purpose
    subject = _data("subjects")["subject"][index]
    title = _sentence(phrase.format(thing=thing)) + (f" (part {around + 1})" if around else "")
    writer = _Writer(draw, subject, thing)
    body = writer.body()
    return Text(title, slug(title), writer.excerpt.replace("`", ""), body, _tags(draw, subject))


def all_tags() -> list[str]:
    """Every tag that a post can have, sorted."""
    return sorted({tag for subject in _data("subjects")["subject"] for tag in subject["tags"]})


def slug(title: str) -> str:
    """A title as a part of a URL: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


class _Writer:
    """Draws the parts of one post."""

    def __init__(self, draw: random.Random, subject: dict[str, Any], thing: str) -> None:
        self.draw = draw
        self.subject = subject
        self.thing = thing
        self.phrases = _data("phrases")
        self.claims = draw.sample(subject["claims"], len(subject["claims"]))
        self.excerpt = f"{_sentence(self._line('openings'))} {self.claims.pop()}"

    def body(self) -> str:
        parts = [f"<p>{self._html(self.excerpt)}</p>"]
        parts += self._section("headings_problem", "problem", paragraphs=2)
        parts += self._section("headings_cause", "cause", paragraphs=2)
        parts += self._section("headings_change", "change", paragraphs=2)
        parts.insert(-1, self._code())
        if self.draw.random() < 0.6:
            parts.append(self._list())
        if self.draw.random() < 0.4:
            parts.append(f"<blockquote><p>{escape(self.draw.choice(self.phrases['quotes']))}</p></blockquote>")
        parts += self._section("headings_end", "ending", paragraphs=self.draw.choice((1, 2)))
        return "\n".join(parts)

    def _section(self, headings: str, kind: str, paragraphs: int) -> list[str]:
        lines = self.draw.sample(self.phrases[kind], paragraphs * 3)
        heading = f"<h2>{escape(self.draw.choice(self.phrases[headings]))}</h2>"
        return [heading] + [self._paragraph(lines[at * 3 : at * 3 + 3]) for at in range(paragraphs)]

    def _paragraph(self, lines: list[str]) -> str:
        said = [self._fill(line) for line in lines]
        if self.claims:
            said.insert(self.draw.randint(1, 3), self.claims.pop())
        return f"<p>{' '.join(self._html(line) for line in said)}</p>"

    def _code(self) -> str:
        code = self.draw.choice(self.subject["code"])
        return f'<pre><code class="language-{code["language"]}">{escape(code["text"].strip())}</code></pre>'

    def _list(self) -> str:
        items = self.draw.sample(self.phrases["items"], self.draw.randint(3, 5))
        return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"

    def _line(self, kind: str) -> str:
        return self._fill(self.draw.choice(self.phrases[kind]))

    def _fill(self, line: str) -> str:
        draw, phrases = self.draw, self.phrases
        return line.format(
            thing=self.thing,
            team=draw.choice(phrases["teams"]),
            person=draw.choice(phrases["people"]),
            day=draw.choice(phrases["days"]),
            month=draw.choice(phrases["months"]),
            cause=draw.choice(phrases["causes"]),
            n=draw.randint(2, 9),
            pct=draw.randint(3, 60),
            big=draw.randint(20, 900),
            small=draw.randint(8, 90),
            slow=draw.randint(900, 9000),
        )

    @staticmethod
    def _html(line: str) -> str:
        return _CODE.sub(r"<code>\1</code>", escape(_sentence(line), quote=False))


@cache
def _titles() -> list[tuple[str, int, str]]:
    subjects = _data("subjects")["subject"]
    found = [
        (phrase, index, thing)
        for phrase in _data("phrases")["titles"]
        for index, subject in enumerate(subjects)
        for thing in subject["things"]
    ]
    random.Random(SEED).shuffle(found)  # noqa: S311  repeatable on purpose
    return found


@cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((files("worker.demo") / f"{name}.toml").read_text(encoding="utf-8"))


def _tags(draw: random.Random, subject: dict[str, Any]) -> tuple[str, ...]:
    first, *others = subject["tags"]
    return (first, *(tag for tag in others if draw.random() < 0.6))


def _sentence(line: str) -> str:
    return line[:1].upper() + line[1:]
