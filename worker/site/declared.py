"""The site's declaration: which pages a post's change affects. A decision about content, so it stands in TOML.

Limit: it is believed, not known. Themes differ, so `looking` compares bodies and says where it is wrong.
"""

from __future__ import annotations

import re
import string
import tomllib
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from celery_anp.errors import BadDeclaration, BadSetting, did_you_mean
from worker.settings import Settings

#: What a path may name of a post.
WORDS = ("slug", "id", "category", "tag", "author", "year", "month", "day", "sitemap")


class Affected(BaseModel):
    """One [[page]] entry: pages that a post's change affects."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: Path with words of the post in braces: `/tag/{tag}/`.
    path: str
    #: Of a list: how many of its pages.
    pages: Annotated[int, Field(ge=1, le=100_000)] | Literal["all"] = 1
    #: `post`: the path of every public post, not only of this one.
    every: Literal["post"] | None = None

    @field_validator("path")
    @classmethod
    def _template(cls, path: str) -> str:
        if not path.startswith("/") or path.startswith("//") or re.search(r"[\s?#*]", path):
            raise ValueError("a path that begins with one slash, without spaces, a query or a pattern")
        try:
            parts = list(string.Formatter().parse(path))
        except ValueError:
            raise ValueError("words in braces, such as /tag/{tag}/") from None
        for _, word, form, conversion in parts:
            if word is None:
                continue
            if word not in WORDS or form or conversion:
                raise ValueError(f"{{{word}}} is not known.{did_you_mean(word, WORDS)} There are {', '.join(WORDS)}")
        return path

    @property
    def words(self) -> frozenset[str]:
        """The words of the post that its path names."""
        return frozenset(word for _, word, _, _ in string.Formatter().parse(self.path) if word is not None)


class Declaration(BaseModel):
    """What a site says about its pages."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: Path of the sitemap, for warming and looking.
    sitemap: str = "/sitemap.xml"
    #: Regular expressions of what differs from one rendering to the next without a change.
    ignore: list[str] = []
    #: The affected pages.
    page: Annotated[list[Affected], Field(min_length=1)]

    @field_validator("ignore")
    @classmethod
    def _expressions(cls, ignore: list[str]) -> list[str]:
        for expression in ignore:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"regular expressions; {expression!r} is none: {error}") from None
        return ignore


def load(known: Settings) -> Declaration:
    """The declaration that the settings name, or the one shipped for the kind of site.

    Raises:
        BadSetting: ANP_PAGES cannot be read.
        BadDeclaration: it cannot be right; the message tells all that is wrong.
    """
    try:
        text, place = _text(known)
        return Declaration.model_validate(tomllib.loads(text))
    except OSError as error:
        given = f"{known.pages}: {error.strerror}"
        raise BadSetting("ANP_PAGES cannot be read", expected="a TOML file", given=given) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeclaration(f"{known.pages} is not TOML", expected="TOML in UTF-8", given=str(error)) from None
    except ValidationError as error:
        told = "; ".join(_told(dict(found)) for found in error.errors())
        raise BadDeclaration(f"{place} cannot be used: {told}") from None


def _text(known: Settings) -> tuple[str, str]:
    if known.pages is not None:
        return known.pages.read_text(encoding="utf-8"), str(known.pages)
    shipped = files("worker.site") / "affects" / f"{known.site_kind}.toml"
    return shipped.read_text(encoding="utf-8"), shipped.name


def _told(found: dict[str, Any]) -> str:
    place = [str(part + 1) if isinstance(part, int) else str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        fields = Affected.model_fields if place[0] == "page" else Declaration.model_fields
        return f"{' '.join(place)} is not known.{did_you_mean(place[-1], fields)}"
    return f"{' '.join(place)}: {found['msg'].removeprefix('Value error, ')}"
