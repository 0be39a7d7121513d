"""Which tasks a timeline shows: bounded, the slowest and the failures among them, whatever comes."""

from __future__ import annotations

import gc
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.bars import BarChoice, Reservoir
from scrapeengine.model.history import Bar

KINDS = [("succeeded", ""), ("failed", "A"), ("failed", "B"), ("skipped", ""), ("cancelled", "")]
ENDS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50)), max_size=300)


def bar(number: int, kind: tuple[str, str] = KINDS[0], ran: float = 1.0) -> Bar:
    """Make one that ends at a time of its own."""
    return Bar("A", str(number), *kind, float(number), 0.0, ran, 1, (), ())


def choice_of(bars: list[Bar], most: int, seed: int = 1) -> BarChoice:
    """Make one that has seen these."""
    choice = BarChoice(most, random.Random(seed).random)
    for each in bars:
        choice.add(each)
    return choice


@given(ENDS, st.integers(1, 400), st.integers(0, 9))
def test_what_is_shown_is_bounded_and_the_rest_is_counted(
    ends: list[tuple[tuple[str, str], int]], most: int, seed: int
) -> None:
    """Each is shown once, in the order of their ends; shown and left out are all that there were, by kind."""
    bars = [bar(number, kind, ran) for number, (kind, ran) in enumerate(ends)]
    choice = choice_of(bars, most, seed)
    chosen = choice.chosen()
    assert len(chosen) <= most
    assert list(chosen) == sorted(set(chosen), key=lambda each: each.ended)
    assert Counter(each.kind for each in chosen) + Counter(choice.left_out(chosen)) == Counter(
        each.kind for each in bars
    )
    if len(bars) <= most // 2:  # the sample alone has room for them
        assert list(chosen) == bars


@given(st.integers(0, 9999))
def test_the_slowest_and_the_ends_of_each_kind_are_shown(seed: int) -> None:
    """Of 250 the slowest 10, 50 failures, and the first and the last of five kinds; a sample takes 180 of 600."""
    rng = random.Random(seed)
    bars = [bar(number, rng.choice(KINDS), rng.randrange(10_000)) for number in range(600)]
    chosen = choice_of(bars, 250, seed).chosen()
    shown = sorted((each.ran for each in chosen), reverse=True)[:10]
    assert shown == sorted((each.ran for each in bars), reverse=True)[:10]
    for kind in KINDS:
        same = [each for each in bars if (each.kind, each.error) == kind]
        assert {same[0], same[-1]} <= set(chosen)
    assert len([each for each in chosen if each.kind == "failed"]) >= 50


def test_more_kinds_than_fit_are_not_kept() -> None:
    """A kind is the class of an error, and a program may make classes without end."""
    choice = choice_of([bar(number, ("failed", f"E{number}")) for number in range(1000)], 50)
    assert len(choice.chosen()) <= 50
    assert repr(choice) == "<BarChoice of 1000 tasks>"
    assert choice_of([bar(1)], 0).chosen() == ()


def test_each_is_as_likely_as_another_in_a_sample() -> None:
    """Of 60 that come, 6 are kept: over 3,000 samples each of them about 300 times."""
    rng, counts = random.Random(7), Counter[str]()
    for _ in range(3000):
        reservoir = Reservoir(6, rng.random)
        for number in range(60):
            reservoir.add(bar(number))
        assert len({each.id for each in reservoir.kept}) == 6
        counts.update(each.id for each in reservoir.kept)
    # 300 each, give or take 16.4 (one standard deviation); five of them are passed once in a million.
    assert all(abs(counts[str(number)] - 300) < 5 * 16.5 for number in range(60))


def test_a_random_number_of_nought_is_one_as_any() -> None:
    """It takes the next one at once; no logarithm of 0 is asked for."""
    reservoir = Reservoir(2, lambda: 0.0)
    for number in range(100):
        reservoir.add(bar(number))
    assert [each.id for each in reservoir.kept] == ["99", "1"]


def test_memory_is_that_of_what_is_shown() -> None:
    """However many come: ten times the tasks, and as many bars are kept."""
    choice, kept = BarChoice(500, random.Random(3).random), []
    for number in range(100_000):
        choice.add(bar(number, KINDS[number % 5], number % 997))
        if number in {9_999, 99_999}:
            kept.append(len(gc.get_objects()))
            assert len(choice.chosen()) <= 500
            assert len(choice._slowest) == 20
            assert len(choice._failures.kept) == 100
            assert len(choice._sample.kept) == 360
            assert sum(choice.left_out(choice.chosen()).values()) == number + 1 - len(choice.chosen())
    assert kept[1] - kept[0] < 1000
