"""How many retries a platform is worth."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.budget import Budget

MINUTE = 60.0


@attrs.define
class Model:
    """All that was counted, and the law over it."""

    requests: list[float] = attrs.field(factory=list)
    retries: list[float] = attrs.field(factory=list)

    share: float = 0.2

    def most(self, now: float, seconds: float) -> float:
        """Return how many retries the requests of the last `seconds` are worth."""
        requests = sum(now - seconds <= at <= now for at in self.requests)
        if self.share in {0, math.inf}:
            return self.share
        return max(10, self.share * requests + 1e-9)

    def granted(self, now: float, seconds: float) -> int:
        """Return how many retries were granted in the last `seconds`."""
        return sum(now - seconds <= at <= now for at in self.retries)


def ask(budget: Budget, model: Model, now: float, *, retry: bool) -> None:
    """Do the same to both, and hold the one against the law of the other."""
    if not retry:
        budget.request(now)
        model.requests.append(now)
        return
    if budget.retry(now, model.share):
        model.retries.append(now)
        assert model.granted(now, MINUTE) <= model.most(now, MINUTE)
    else:
        assert model.granted(now, MINUTE + 5) + 1 > model.most(now, MINUTE - 5)


# Many at one time, so that a fifth of them is more than ten; and times on the edges of buckets as well as between.
GAPS = st.one_of(st.sampled_from([0.0, 5.0, 55.0, 60.0, 65.0, 4.999999999999999]), st.floats(0, 40))
STEPS = st.lists(st.tuples(GAPS, st.booleans(), st.integers(1, 120)), max_size=40)


SHARES = st.one_of(st.sampled_from([0.0, 0.2, 0.29, 1.0, math.inf]), st.floats(0, 10))


@given(st.floats(0, 1e6), STEPS, st.lists(SHARES, min_size=1, max_size=4))
def test_the_law(begin: float, steps: list[tuple[float, bool, int]], shares: list[float]) -> None:
    """Each retry that is granted keeps to the law, and each that is not would have broken it but for the buckets.

    So it is under the share of that instant, whatever it was before.
    """
    budget, model, now = Budget(), Model(), begin
    for number, (gap, retry, times) in enumerate(steps):
        now += gap
        model.share = shares[number % len(shares)]
        for _ in range(times):
            ask(budget, model, now, retry=retry)


@given(STEPS)
def test_no_window_of_a_minute_has_more(steps: list[tuple[float, bool, int]]) -> None:
    """Wherever a minute begins, it has at most ten retries, or a fifth of the requests before its last one."""
    budget, model, now = Budget(), Model(), 0.0
    for gap, retry, times in steps:
        now += gap
        for _ in range(times):
            ask(budget, model, now, retry=retry)
    for begin in model.retries:
        window = [at for at in model.retries if at - MINUTE <= begin <= at]
        assert len(window) <= model.most(window[-1], MINUTE)


@given(st.integers(-(10**6), 10**6), STEPS, STEPS)
def test_a_shift_changes_nothing(
    seconds: int, before: list[tuple[float, bool, int]], after: list[tuple[float, bool, int]]
) -> None:
    """On another clock it grants what it would have granted on its own."""
    budget, other, now = Budget(), Budget(), 2.0**21
    moved = 0.0
    for steps in (before, after):
        for gap, retry, times in steps:
            now += round(gap * 4) / 4  # exact on both clocks
            for _ in range(times):
                if retry:
                    assert budget.retry(now) == other.retry(now + moved)
                else:
                    budget.request(now)
                    other.request(now + moved)
        other.shift(seconds)
        moved += seconds
        assert other.matters_until() == budget.matters_until() + moved


@given(STEPS)
def test_it_matters_as_long_as_a_retry_counts(before: list[tuple[float, bool, int]]) -> None:
    """From `matters_until` on no retry is younger than a minute; a new budget, which knows no request, is stricter."""
    budget, now, granted = Budget(), 0.0, 0.0
    for gap, retry, times in before:
        now += gap
        for _ in range(times):
            if not retry:
                budget.request(now)
            elif budget.retry(now):
                granted = now + MINUTE
    assert max(now, budget.matters_until()) >= granted


def test_a_new_one_does_not_matter() -> None:
    """What was never asked has nothing to forget, on any clock."""
    budget = Budget()
    budget.shift(1000.0)
    assert budget.matters_until() == -math.inf


@pytest.mark.parametrize(("retry", "until"), [(True, 165.0), (False, -math.inf)])
def test_a_retry_matters_for_a_minute(retry: bool, until: float) -> None:  # noqa: FBT001
    """With a retry a budget is kept for a minute, and for 65 s at most; requests alone are not worth it."""
    budget = Budget()
    _ = budget.retry(101.0) if retry else budget.request(101.0)
    assert budget.matters_until() == until


def test_a_few_are_always_granted() -> None:
    """Ten in a minute, without any request; the eleventh comes a minute later."""
    budget = Budget()
    assert [budget.retry(1.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert not budget.retry(61.0)
    assert budget.retry(65.0)


def test_a_fifth_of_many_is_granted() -> None:
    """A hundred requests are worth twenty retries."""
    budget = Budget()
    for _ in range(104):
        budget.request(7.0)
    assert [budget.retry(8.0) for _ in range(21)] == [True] * 20 + [False]
    budget.request(8.0)
    assert budget.retry(8.0)


def test_what_is_refused_is_not_counted() -> None:
    """Retries that were refused are held against nobody later."""
    budget = Budget()
    for _ in range(1000):
        budget.retry(1.0)
    assert [budget.retry(66.0) for _ in range(11)] == [True] * 10 + [False]


def test_requests_of_more_than_a_minute_ago_count_for_nothing() -> None:
    """Not even in the bucket in which the retries of their time still do."""
    budget = Budget()
    for _ in range(1000):
        budget.request(0.0)
    assert [budget.retry(60.5) for _ in range(11)] == [True] * 10 + [False]


def test_a_share_of_any_size() -> None:
    """An int may be larger than any float."""
    budget = Budget()
    budget.request(0.0)
    assert all(budget.retry(0.0, 10**400) for _ in range(100))
