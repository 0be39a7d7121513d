"""How long a run still takes, by what binds: to turn that knob helps, and to turn another does not."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.holding import Holdup
from scrapeengine.decide.remaining import Load, Remaining, remaining

LOADS = st.lists(
    st.builds(
        Load,
        name=st.just("A"),
        left=st.integers(0, 1000),
        limit=st.integers(1, 50),
        seconds=st.integers(1, 100).map(lambda n: n / 10),
        interval=st.sampled_from([0.0, 0.01, 0.5, 2.0]),
        requests=st.sampled_from([0.5, 1.0, 3.0]),
        opens_in=st.sampled_from([0.0, 0.0, 5.0, 600.0]),
    ),
    max_size=5,
).map(lambda loads: [attrs.evolve(load, name=f"P{place}") for place, load in enumerate(loads)])


def needs(load: Load) -> list[float]:
    """List how long each resource of a platform is needed for."""
    return [load.left * load.seconds / load.limit, load.left * load.requests * load.interval]


@given(LOADS, st.integers(1, 100), st.sampled_from([0.5, 1.0, 3.0]))
def test_it_is_the_longest_of_what_each_resource_needs(loads: list[Load], events: int, per_event: float) -> None:
    """Nothing is left: there is no time. Else it is what some resource needs, and no other needs more."""
    found = remaining(loads, events, per_event)
    busy = [load for load in loads if load.left]
    if found is None:
        assert not busy
        return
    alone = {load.name: load.opens_in + max(needs(load)) for load in busy}
    together = sum(load.left * load.seconds for load in busy) / events / max(1.0, per_event)
    assert found.seconds == pytest.approx(max(*alone.values(), together))
    assert found.seconds == pytest.approx(alone[found.platform] if found.platform else together)


@given(LOADS, st.integers(1, 100))
def test_to_raise_what_it_names_helps_and_to_raise_another_does_not(loads: list[Load], events: int) -> None:
    """Of the platform that takes longest, and of the event limit; what others have is never it."""
    found = remaining(loads, events)
    if found is None:
        return
    (own,) = [load for load in loads if load.name == found.platform] or [None]

    def with_(**changes: float) -> Remaining | None:
        changed = [attrs.evolve(load, **changes) if load is own else load for load in loads]
        return remaining(changed, events)

    if own is None:
        assert found.by is Holdup.EVENTS
        more = remaining(loads, events * 2)
        assert more is not None
        assert more.seconds < found.seconds
        assert remaining([attrs.evolve(load, limit=load.limit * 2) for load in loads], events) == found
        return
    knobs = {Holdup.LIMIT: {"limit": own.limit * 2}, Holdup.RATE: {"interval": own.interval / 2}}
    more = remaining(loads, events * 2)
    assert more is not None
    assert more.seconds == found.seconds
    for knob, changes in knobs.items():
        after = with_(**changes)
        assert after is not None
        if found.by is knob:
            others = [remaining([load], events) for load in loads if load is not own]
            rivals = [each.seconds for each in others if each is not None]
            rivals += [own.opens_in + min(needs(own)), sum(load.left * load.seconds for load in loads) / events]
            assert after.seconds < found.seconds or max(rivals) >= found.seconds
        elif found.by in knobs:
            assert after.seconds == found.seconds
    if found.by is Holdup.PENALTY:
        assert own.opens_in > max(needs(own))


def test_what_is_paused_never_ends() -> None:
    """As long as it has work; and says which platform it is."""
    load = Load(name="A", left=3, limit=0, seconds=1.0)
    assert remaining([load], 10) == Remaining(math.inf, "A", Holdup.PAUSE)
    assert remaining([attrs.evolve(load, left=0)], 10) is None
