"""What holds a platform back, and since when: from how it stands, and looking at it changes nothing."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.allotment import Allotment
from scrapeengine.decide.gate import Gate
from scrapeengine.decide.holding import Holdup, LaneFacts, LaneTimes, held_by, held_since, slowest, standing
from scrapeengine.decide.penalty import Penalty
from scrapeengine.decide.rate import Booking
from scrapeengine.model.policy import Rate, rates_of

COUNTS = st.integers(0, 4)
FACTS = st.builds(
    LaneFacts,
    waiting=COUNTS,
    own_limit=COUNTS,
    limit=COUNTS,
    running=COUNTS,
    started=COUNTS,
    closed=st.booleans(),
    rate_open=st.booleans(),
    full=st.sampled_from([None, Holdup.CONSUMER, Holdup.SINKS, Holdup.STORE]),
    event_slot=st.booleans(),
)
TIMES = st.builds(
    LaneTimes,
    **dict.fromkeys(("closed", "opened", "paused", "moved", "waits"), st.floats(-1e6, 1e6) | st.just(-math.inf)),
)


@given(FACTS)
def test_what_holds_work_back_holds_the_platform_back(facts: LaneFacts) -> None:
    """Where no work waits only what would hold back any: a pause before a penalty, which is not asked for there."""
    if held_by(facts) is not Holdup.NOTHING:
        assert standing(facts) is held_by(facts)
    elif not facts.own_limit:
        assert standing(facts) is Holdup.PAUSE
    else:
        assert standing(facts) is (Holdup.PENALTY if facts.closed else Holdup.NOTHING)


@given(COUNTS, COUNTS, COUNTS)
def test_who_has_the_most_before_it_is_the_slowest(consumer: int, sinks: int, store: int) -> None:
    """Of equals the one that comes last on the way."""
    found = slowest(consumer=consumer, sinks=sinks, store=store)
    before = {Holdup.CONSUMER: consumer, Holdup.SINKS: sinks, Holdup.STORE: store}
    assert before[found] == max(before.values())
    later = list(before)[: list(before).index(found)]
    assert all(before[each] < before[found] for each in later)


@given(FACTS)
def test_where_work_waits_and_nothing_is_amiss_nothing_holds_it_back(facts: LaneFacts) -> None:
    """And each reason is one that is there."""
    there = {
        Holdup.PAUSE: not facts.own_limit,
        Holdup.PENALTY: facts.closed,
        Holdup.SHARE: facts.limit <= facts.running and facts.limit < facts.own_limit,
        Holdup.LIMIT: facts.limit <= facts.running,
        Holdup.RATE: not facts.rate_open,
        Holdup.PARKED: facts.started >= 2 * facts.own_limit,
        **dict.fromkeys((Holdup.CONSUMER, Holdup.SINKS, Holdup.STORE), False),
        **({facts.full: True} if facts.full else {}),
        Holdup.EVENTS: not facts.event_slot,
    }
    found = held_by(facts)
    if not facts.waiting:
        assert found is Holdup.NOTHING
    else:
        assert (found is Holdup.NOTHING) is not any(there.values())
        assert there.get(found, True)


@given(st.sampled_from(Holdup), TIMES)
def test_it_is_held_since_the_last_thing_that_went_on(holdup: Holdup, times: LaneTimes) -> None:
    """A pause and a penalty since they began; all else no longer than something has waited and nothing has started."""
    since = held_since(holdup, times)
    if holdup is Holdup.NOTHING:
        assert since is None
    elif holdup is Holdup.PAUSE:
        assert since == times.paused
    elif holdup is Holdup.PENALTY:
        assert since == times.closed
    else:
        assert since in {times.moved, times.waits, times.opened}
        assert since >= max(times.moved, times.waits, times.opened)


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["refused", "after", "by hand", "ended"])), max_size=20))
def test_a_penalty_knows_when_it_began(steps: list[tuple[float, str]]) -> None:
    """At the last time at which a platform that was open closed, however often it is closed for longer."""
    penalty, now, began = Penalty(), 0.0, -math.inf
    for passed, what in steps:
        now += passed
        closed = now < penalty.until
        if what == "refused":
            penalty.refused(sent=now, now=now, after=None)
        elif what == "after":
            penalty.refused(sent=now, now=now, after=5.0)
        elif what == "by hand":
            penalty.close(now + 7, now)
        else:
            penalty.end(now)
        if not closed and now < penalty.until:
            began = now
        assert penalty.since == began
    penalty.shift(100)
    assert penalty.since == began + 100


RATES = st.none() | st.builds(Rate, st.floats(0.5, 20), burst=st.integers(1, 4))
STEPS = st.lists(
    st.tuples(st.sampled_from(["book", "begin", "use", "give back", "wait"]), st.floats(0, 1)), max_size=30
)


@pytest.mark.parametrize("shared", [False, True])
@given(RATES, STEPS, st.floats(0, 3))
def test_a_glance_sees_what_opens_at_says_and_changes_nothing(
    shared: bool,  # noqa: FBT001 - a parameter of a test
    rate: Rate | None,
    steps: list[tuple[str, float]],
    ahead: float,
) -> None:
    """Whatever was booked, and begun, and not used; now and later: `opens_at` lets lapse what is over by then."""
    gate, now = (Gate.sharing if shared else Gate.of)(rates_of(rate)), 0.0
    if isinstance(gate.rate_limiter, Allotment):
        gate.rate_limiter.take_in([number / 3 for number in range(20)], now)
    bookings: list[Booking] = []
    for what, much in steps:
        before = deepcopy(gate)
        found = gate.glance(now + ahead)
        assert found == deepcopy(before).opens_at(now + ahead)
        assert state(gate) == state(before)
        if what == "wait":
            now += much
        elif what == "book" and gate.opens_at(now) <= now:
            bookings.append(gate.rate_limiter.book())
        elif bookings and what == "begin":
            gate.rate_limiter.begin(bookings[-1], now)
        elif bookings and what == "use":
            gate.use(bookings.pop(0), now)
        elif bookings and what == "give back":
            gate.rate_limiter.give_back(bookings.pop())


def state(gate: Gate) -> object:
    """Say how a gate stands, whatever objects it is made of."""
    limiter = gate.rate_limiter
    own = limiter._rate_limiter if isinstance(limiter, Allotment) else limiter
    shared = (limiter._times, list(limiter._booked.values())) if isinstance(limiter, Allotment) else None
    bookings = [(each.begun, each.counts) for each in own._open]
    return own._meters, own._booked, bookings, shared, gate.penalty.until
