"""Histograms of what a sketch has seen."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.sketch import Sketch
from scrapeengine.decide.spread import spread_of


@given(st.lists(st.floats(0, 1e7), max_size=60))
def test_every_number_is_in_a_step(numbers: list[float]) -> None:
    """Steps follow one another without a gap, the first and the last are not empty, and each has its own numbers."""
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    steps = spread_of(sketch)
    assert sum(count for *_, count in steps) == len(numbers)
    if not steps:
        return
    assert [to for _, to, _ in steps[:-1]] == [since for since, *_ in steps[1:]]
    assert steps[0][2]
    assert steps[-1][2]
    last = len(steps) - 1
    for place, (since, to, count) in enumerate(steps):
        sure = [each for each in numbers if since * 1.02 < each and (each < to * 0.98 or place == last)]
        maybe = [each for each in numbers if since * 0.98 <= each and (each <= to * 1.02 or place == last)]
        assert len(sure) <= count <= len(maybe)


def test_ten_steps_make_the_tenfold() -> None:
    """From 10 ms to 1 s there are twenty."""
    sketch = Sketch()
    for number in (0.0102, 0.98):
        sketch.add(number)
    steps = spread_of(sketch)
    assert len(steps) == 20
    assert math.isclose(steps[0][0], 0.01)
    assert math.isclose(steps[-1][1], 1.0)
