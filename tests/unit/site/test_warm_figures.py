"""The figures of a round of visits."""

from __future__ import annotations

from worker.site.warm import Visit, figures


def test_percentiles_are_nearest_ranks_of_the_answers_that_came() -> None:
    made = [Visit("/", 200, number / 1000, "HIT") for number in range(1, 101)]
    seen = figures([*made, Visit("/gone/", 0, 9.0)])
    assert (seen.p50_ms, seen.p95_ms) == (50.0, 95.0)


def test_an_answer_that_is_an_error_counts_as_failed_and_is_named() -> None:
    seen = figures([Visit("/", 200, 0.1, "HIT"), Visit("/x/", 503, 0.1), Visit("/y/", 0, 0.1)])
    assert seen.error_rate == round(2 / 3, 4)
    assert seen.errors == (("/x/", 503), ("/y/", 0))


def test_a_bypassed_cache_counts_as_a_miss_and_queries_are_added_up() -> None:
    made = [Visit("/", 200, 0.1, "BYPASS", 5), Visit("/a/", 200, 0.1, "MISS", 3), Visit("/b/", 200, 0.1, "HIT")]
    seen = figures(made)
    assert (seen.hits, seen.misses, seen.database_calls) == (1, 2, 8)


def test_no_visits_give_zeros_and_no_error() -> None:
    seen = figures([])
    assert (seen.pages, seen.p50_ms, seen.error_rate) == (0, 0.0, 0.0)
