"""The clock of a store."""

import math

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from scrapeengine.stores.clock import Clock

TIMES = st.floats(0, 1e9)


@given(st.floats(1.5e9, 3e9), TIMES, TIMES)
def test_who_sleeps_until_a_time_wakes_when_it_has_come(offset, now, span):
    """Not a rounding error before it, nor long after."""
    clock = Clock(offset)
    at = offset + now + span
    deadline = clock.deadline(at)
    assert offset + deadline >= at
    assert abs(deadline - (now + span)) < 1e-5
    assert clock.deadline(math.inf) == math.inf


def test_it_goes_as_trios_clock_goes():
    """Whatever the machine's own clock does meanwhile."""

    async def main():
        clock = Clock.anchored()
        before = clock.now()
        await trio.sleep(3600)
        return clock.now() - before

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == 3600
