"""Requests over time in a fixed number of steps: none is lost, and each is where it was sent, whatever the width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.pace import STEPS, PaceCount

TIMES = st.lists(st.integers(0, 80_000).map(lambda eighth: eighth / 8), max_size=60)
CHANGES = st.lists(st.tuples(st.integers(0, 80_000).map(lambda eighth: eighth / 8), st.none() | st.integers(1, 9)))


@given(TIMES, st.sampled_from([0.0, 100.0]))
def test_each_request_is_in_the_step_in_which_it_was_sent(times: list[float], began: float) -> None:
    """In any order: an answer that took long was asked for before others. Steps are as wide as the run is long."""
    count = PaceCount(began, None)
    for time in times:
        count.add(began + time)
    end = max(times, default=0.0)
    pace = count.pace(began + end)
    assert len(pace.used) == len(pace.allowed) <= STEPS
    assert pace.width == 0.125 or pace.width * STEPS / 2 <= end
    expected = [0] * len(pace.used)
    for time in times:
        expected[int(time / pace.width)] += 1
    assert list(pace.used) == expected


@given(CHANGES, st.integers(0, 80_000).map(lambda eighth: eighth / 8))
def test_what_is_allowed_is_what_was_last_said(changes: list[tuple[float, int | None]], end: float) -> None:
    """Until the end of each step."""
    changes.sort(key=lambda change: change[0])
    count = PaceCount(0.0, 5.0)
    for time, rate in changes:
        count.allow(rate, time)
    count.add(end)
    pace = count.pace(end)
    for step, allowed in enumerate(pace.allowed):
        said = [rate for time, rate in changes if time < (step + 1) * pace.width]
        assert allowed == (said[-1] if said else 5.0)


def test_a_run_that_goes_on_without_requests_has_steps_too() -> None:
    """With nothing in them; what was sent before it began counts at its beginning."""
    count = PaceCount(10.0, None)
    count.add(9.0)
    assert count.pace(11.0).used == (1, *[0] * 8)
    assert sum(count.pace(1e6).used) == 1
    assert len(count.pace(1e6).used) == STEPS
