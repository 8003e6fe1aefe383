"""The declaration of affected pages: what is wrong is told before anything is cleared."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_anp.errors import BadDeclaration, BadSetting
from worker.settings import Settings
from worker.site import declared


def loaded(tmp_path: Path, text: str) -> declared.Declaration:
    place = tmp_path / "pages.toml"
    place.write_text(text)
    return declared.load(Settings(pages=place))


@pytest.mark.parametrize("kind", ["demo", "wordpress"])
def test_the_shipped_declarations_can_be_read(kind: str) -> None:
    found = declared.load(Settings(site_kind=kind))
    assert "/{slug}/" in [entry.path for entry in found.page]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[page]]\npath = '/{slag}/'", "Did you mean 'slug'"),
        ("[[page]]\npath = '/{slug!r}/'", "slug"),
        ("[[page]]\npath = '/{slug'", "braces"),
        ("[[page]]\npath = '/tag/*'", "pattern"),
        ("[[page]]\npath = '//other.example/'", "one slash"),
        ("[[page]]\npath = 'tag/'", "one slash"),
        ("[[page]]\npath = '/'\npages = 0", "page 1 pages"),
        ("[[page]]\npath = '/'\nevry = 'post'", "Did you mean 'every'"),
        ("[[page]]\npath = '/'\nevery = 'page'", "post"),
        ("ignore = ['(']\n[[page]]\npath = '/'", "'(' is none"),
        ("sitemap = '/sitemap.xml'", "page"),
        ("[[page]", "not TOML"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadDeclaration) as refused:
        loaded(tmp_path, text)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="ANP_PAGES"):
        declared.load(Settings(pages=tmp_path / "nowhere.toml"))
