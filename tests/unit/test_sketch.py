"""Quantiles of many numbers in constant memory: within 1 %, whatever the numbers are and however they came together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.sketch import ERROR, LEAST, MOST, Sketch

TIMES = st.floats(0, MOST) | st.floats(-6, 6).map(lambda power: 10.0**power)
EDGES = st.integers(-690, 690).map(lambda power: (1.01 / 0.99) ** power)
NUMBERS = TIMES | EDGES | st.sampled_from([0.0, LEAST, 1.0, MOST])
SHARES = st.floats(0, 1) | st.sampled_from([0.5, 0.9, 0.99])


def sketch_of(numbers: list[float]) -> Sketch:
    """Make one that has seen these."""
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    return sketch


@given(st.lists(NUMBERS, min_size=1, max_size=200), SHARES)
def test_a_quantile_is_off_by_one_percent_at_most(numbers: list[float], share: float) -> None:
    """Of the number that it asks for, by its rank; what is less than a microsecond counts as 0."""
    exact = sorted(numbers)[max(1, math.ceil(share * len(numbers))) - 1]
    found = sketch_of(numbers).quantile(share)
    assert abs(found - exact) <= max(exact * ERROR * (1 + 1e-9), LEAST)


@pytest.mark.parametrize("numbers", [(985063.0, 994914.0), (985063.0, 1e6), (985063.0, 1e9), (1e6, 1e6)])
def test_so_it_is_among_the_greatest(numbers: tuple[float, float]) -> None:
    """What is more than a million stands for itself, and for nothing that is less."""
    for share, exact in zip((0.0, 1.0), numbers, strict=True):
        assert math.isclose(sketch_of(list(numbers)).quantile(share), exact, rel_tol=ERROR)
    merged = sketch_of([numbers[0]])
    merged.merge(sketch_of([numbers[1]]))
    assert merged._all().buckets == sketch_of(list(numbers))._all().buckets


@given(st.lists(NUMBERS, max_size=100), st.lists(NUMBERS, max_size=100))
def test_to_merge_is_to_have_seen_both(some: list[float], others: list[float]) -> None:
    """In any order."""
    merged, whole = sketch_of(some), sketch_of([*some, *others])
    merged.merge(sketch_of(others))
    assert merged._all().buckets == whole._all().buckets
    assert (merged.count, merged.most, merged._all().tiny) == (whole.count, whole.most, whole._all().tiny)
    assert math.isclose(merged.total, whole.total)
    assert [merged.quantile(each) for each in (0, 0.5, 1)] == [whole.quantile(each) for each in (0, 0.5, 1)]


@given(st.lists(st.floats(0, allow_nan=False, allow_infinity=False), max_size=50), st.lists(SHARES, max_size=5))
def test_its_memory_is_bounded_and_its_quantiles_rise(numbers: list[float], shares: list[float]) -> None:
    """Whatever is seen: also what is far beyond a million seconds, where the greatest is exact."""
    sketch = sketch_of(numbers)
    assert all(math.log(LEAST) / math.log(1.0202) - 1 <= bucket <= 692 for bucket in sketch._all().buckets)
    found = [sketch.quantile(share) for share in sorted(shares)]
    assert found == sorted(found)
    assert all(0 <= each <= sketch.most for each in found)
    assert sketch.most == max((number for number in numbers if number >= LEAST), default=0.0)


@given(st.lists(NUMBERS, max_size=600), st.lists(NUMBERS.filter(lambda bound: bound >= LEAST), max_size=8))
def test_a_histogram_counts_numbers_up_to_each_bound(numbers: list[float], bounds: list[float]) -> None:
    """But for those that are 1 % away from one, it is exact; how many they are, and their sum, in any case."""
    bounds = sorted(bounds)
    counts, count, total = sketch_of(numbers).histogram(bounds)
    assert count == len(numbers)
    assert math.isclose(total, sum(numbers))
    for bound, found in zip(bounds, counts, strict=True):
        least = sum(number <= bound * (1 - 1.01 * ERROR) for number in numbers)
        assert least <= found <= sum(number <= bound * (1 + 1.01 * ERROR) for number in numbers)


@given(st.lists(st.lists(NUMBERS, max_size=300), max_size=4))
def test_to_look_between_changes_nothing(parts: list[list[float]]) -> None:
    """Whenever it is done, and by whomever: each number is seen once."""
    sketch, seen = Sketch(), 0
    for numbers in parts:
        for number in numbers:
            sketch.add(number)
        seen += len(numbers)
        assert sketch.count == sketch.distribution().count == seen
    assert sketch._all().buckets == sketch_of([number for numbers in parts for number in numbers])._all().buckets


def test_it_says_what_it_has_seen() -> None:
    """All at once; nothing where there was nothing."""
    assert repr(Sketch()) == "<Sketch of 0 numbers in 0 buckets>"
    assert Sketch().distribution() == type(Sketch().distribution())()
    found = sketch_of([n / 1000 for n in range(1, 1001)]).distribution()
    assert (found.count, found.most, round(found.mean, 6)) == (1000, 1.0, 0.5005)
    assert [math.isclose(a, b, rel_tol=ERROR) for a, b in ((found.p50, 0.5), (found.p90, 0.9), (found.p99, 0.99))]


def test_a_million_numbers_need_no_more_buckets_than_there_are() -> None:
    """At most 1,384, from a microsecond to a million seconds, and one for what is more."""
    buckets = {round(math.log(10.0 ** (power / 1000)) / math.log(1.01 / 0.99)) for power in range(-6000, 6001)}
    sketch = sketch_of([10.0 ** (power / 4000) for power in range(-24_000, 24_001)])
    assert len(sketch._all().buckets) <= 1384 <= len(buckets) + 2
    assert len(sketch.state[1]) < 256
