"""What may be cleared, before anything is sent."""

from __future__ import annotations

import pytest
import redis

from celery_anp.errors import BadInput, Refused
from worker.site import clearing, kept
from worker.site.object_cache import ObjectCache


@pytest.fixture
def cache() -> ObjectCache:
    return ObjectCache(redis.Redis(port=1), "anp:site:")


@pytest.mark.parametrize(
    "prefix",
    ["*", "", "/tag/*", "/tag/[a-z]/", "/a?", "/a\\b", "anp:", "anp:site:", "anp:site:tag:x", "anp:ledger:run:1",
     "celery", "_kombu.binding.default", "anp:site:page:", "/a b/", "/a\n/"],
)  # fmt: skip
def test_a_pattern_or_a_key_that_is_no_page_is_refused(cache: ObjectCache, prefix: str) -> None:
    with pytest.raises(Refused):
        clearing.target(cache, prefix=prefix)


@pytest.mark.parametrize("prefix", ["/tag/python/", "anp:site:page:/tag/python/"])
def test_a_path_and_the_full_key_of_a_page_mean_the_same(cache: ObjectCache, prefix: str) -> None:
    assert clearing.target(cache, prefix=prefix) == clearing.Target(None, "/tag/python/")


def test_exactly_one_of_post_tag_and_prefix_must_be_given(cache: ObjectCache) -> None:
    with pytest.raises(BadInput, match="none of them"):
        clearing.target(cache)
    with pytest.raises(BadInput, match="post, tag"):
        clearing.target(cache, post=1, tag="python")


@pytest.mark.parametrize("tag", ["*", "a:b", "a b", ""])
def test_a_tag_that_cannot_be_a_slug_is_refused(cache: ObjectCache, tag: str) -> None:
    with pytest.raises(BadInput):
        clearing.target(cache, tag=tag)


def test_kept_pages_come_in_chunks_below_the_limit_of_an_undo_entry() -> None:
    entry = kept.Kept(path="/a/", tags=["post:1"], dump="x" * 10_000, until=1)
    chunks = list(kept.chunks(iter([entry] * 20), 150_000))
    assert [len(chunk) for chunk in chunks] == [4, 4, 4, 2]


def test_a_page_larger_than_a_chunk_is_not_kept_and_the_ones_after_it_are() -> None:
    huge = kept.Kept(path="/a/", tags=[], dump="x" * 50_000, until=1)
    small = kept.Kept(path="/b/", tags=[], dump="x", until=1)
    assert list(kept.chunks(iter([huge, small]), 1_000_000)) == [[small]]
