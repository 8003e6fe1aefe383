"""When a failed run is tried again: a pure decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_anp.errors import BadDeclaration, BadInput, LedgerUnavailable
from celery_anp.reliability.retry import Again, GiveUp, Retries, decide

POLICIES = st.builds(
    Retries,
    max=st.integers(0, 50),
    first=st.floats(0, 60),
    factor=st.floats(1, 10),
    ceiling=st.floats(60, 3600),
    jitter=st.floats(0, 0.99),
)


@given(POLICIES, st.integers(0, 2000), st.floats(0, 1))
def test_a_pause_is_never_longer_than_its_ceiling_and_ends_at_max(
    policy: Retries, failures: int, chance: float
) -> None:
    decision = decide(policy, ValueError("x"), failures, chance)
    assert isinstance(decision, Again) == (failures < policy.max)
    if isinstance(decision, Again):
        assert 0 <= decision.delay <= policy.ceiling * (1 + policy.jitter)


@given(POLICIES, st.integers(0, 48))
def test_pauses_never_shrink_without_jitter(policy: Retries, failures: int) -> None:
    first, second = (decide(policy, ValueError(), n, 0.5) for n in (failures, failures + 1))
    if isinstance(first, Again) and isinstance(second, Again):
        assert second.delay >= first.delay


def test_pauses_double_and_are_spread() -> None:
    policy = Retries(max=5, first=2, factor=2, ceiling=600, jitter=0.1)
    pauses = [decide(policy, OSError(), n, 0.5) for n in range(3)]
    assert [p.delay for p in pauses if isinstance(p, Again)] == [2, 4, 8]
    assert decide(policy, OSError(), 0, 0) == Again(1.8, "OSError, retry 1 of 5")
    assert decide(policy, OSError(), 0, 1) == Again(2.2, "OSError, retry 1 of 5")


@pytest.mark.parametrize(
    ("policy", "error", "again"),
    [
        (Retries(max=3), BadInput("no"), False),
        (Retries(max=3), LedgerUnavailable("away"), True),
        (Retries(max=3, on=(OSError,)), ValueError(), False),
        (Retries(max=3, on=(OSError,)), ConnectionError(), True),
        (Retries(max=3, never=(KeyError,)), KeyError(), False),
        (Retries(), ValueError(), False),
    ],
)
def test_only_what_can_pass_is_tried_again(policy: Retries, error: Exception, again: bool) -> None:
    assert isinstance(decide(policy, error, 0), Again if again else GiveUp)


@pytest.mark.parametrize(
    "wrong", [{"max": -1}, {"first": -1}, {"factor": 0.5}, {"first": 5, "ceiling": 1}, {"jitter": 1}]
)
def test_numbers_that_cannot_be_right_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadDeclaration, match="cannot be used"):
        Retries(**wrong)  # type: ignore[arg-type]
