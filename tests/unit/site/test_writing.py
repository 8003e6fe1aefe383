"""The demo's texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from worker.demo import content, filling, writing
from worker.site.posts import utc_now

TEXTS = [writing.text(number) for number in range(filling.POSTS + 300)]


class Balance(HTMLParser):
    """Refuses HTML whose elements are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_no_two_posts_share_a_title_or_a_slug() -> None:
    assert len({text.slug for text in TEXTS}) == len({text.title for text in TEXTS}) == len(TEXTS)


def test_the_same_number_always_gives_the_same_post() -> None:
    assert writing.text(41) == TEXTS[41]


def test_past_the_last_combination_posts_go_on_as_further_parts() -> None:
    assert writing.text(len(writing._titles())).title.endswith("(part 2)")


def test_each_body_has_several_hundred_words_headings_and_code() -> None:
    for text in TEXTS:
        words = len(re.sub(r"<[^>]+>", " ", text.body).split())
        assert 300 <= words <= 900, (words, text.title)
        assert text.body.count("<h2>") == 4
        assert "<pre><code" in text.body


def test_bodies_are_well_formed_and_no_placeholder_is_left() -> None:
    for text in TEXTS:
        parser = Balance()
        parser.feed(text.body)
        assert not parser.open
        assert not re.search(r"\{(thing|team|person|n|pct|cause|big|small|slow|day|month)\}", text.body)


def test_every_tag_is_used_and_no_post_is_without_one() -> None:
    assert all(text.tags for text in TEXTS)
    assert {tag for text in TEXTS for tag in text.tags} == set(writing.all_tags())


def test_posts_are_due_every_ten_seconds_at_first_and_for_a_day() -> None:
    now = utc_now()
    due = [(when - now).total_seconds() for when in content.due_times(now)]
    assert due[:3] == [10, 20, 30]
    assert due == sorted(set(due))
    assert due[-1] == 86_400
