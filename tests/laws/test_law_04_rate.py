"""Law 4: in any window of w seconds at most `burst + w * count / per` requests start on a platform."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.ledger import rate_broken
from support.strategies import abandonments, cases, rates, requests, scripts, sleeps, stalls, troubles, waits
from support.world import World, outcomes_of, virtually


@given(cases(steps=scripts(requests, requests, sleeps, stalls, troubles, abandonments)))
def test_no_window_holds_more_requests_than_the_rate_allows(case):
    """Concurrent tasks, retries and redirect hops included, and whatever stalls the loop."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    for name, rate in case.rates.items():
        assert not rate_broken(world.ledger.requests[name], rate)
    assert not world.ledger.broken


@given(rates, rates, waits, st.integers(1, 3))
def test_a_rate_that_is_tuned_holds_from_then_on(before, after, when, requests_each):
    """From the change on, windows hold what the new rate allows; up to it, what the old one did."""
    world = World(default=[("request", 0, 200)] * requests_each)
    engine = world.engine([world.platform("A", limit=30, rate=before)], event_limit=30)

    async def main():
        async with engine.stream(se.Event(n) for n in range(12)) as run, trio.open_nursery() as nursery:
            changed = trio.current_time() + when

            @nursery.start_soon
            async def _():
                await trio.sleep_until(changed)
                engine.tune("A", rate=after)

            async for _ in run:
                pass
            nursery.cancel_scope.cancel()
        return changed

    changed = virtually(main)
    times = world.ledger.requests["A"]
    assert not rate_broken([time for time in times if time < changed], before)
    assert not rate_broken([time for time in times if time > changed], after)
    assert len(times) == 12 * requests_each


@given(rates, st.integers(1, 3), st.integers(1, 20))
def test_the_rate_is_used_in_full(rate, requests_each, events):
    """Work that waits for the rate alone starts exactly as the rate allows: `burst` at once, then evenly."""
    world = World(default=[("request", 0, 200)] * requests_each)
    engine = world.engine([world.platform("A", limit=50, rate=rate)], event_limit=50)
    virtually(outcomes_of, engine, [se.Event(n) for n in range(events)])
    times = world.ledger.requests["A"]
    assert len(times) == events * requests_each
    for number, time in enumerate(times):
        expected = max(0, number - rate.burst + 1) * rate.interval
        assert time - times[0] == pytest.approx(expected, abs=1e-6)


@given(rates, st.integers(1, 6))
def test_scrapers_without_requests_are_paced_by_their_starts(rate, events):
    """A scraper that makes no requests starts as often as it could make one."""
    world = World(default=[])
    engine = world.engine([world.platform("A", limit=50, rate=rate)], event_limit=50)
    virtually(outcomes_of, engine, [se.Event(n) for n in range(events)])
    starts = sorted(world.ledger.starts.values())
    for number, time in enumerate(starts):
        assert time - starts[0] == pytest.approx(max(0, number - rate.burst + 1) * rate.interval, abs=1e-6)


async def test_a_stall_of_the_loop_is_followed_by_no_burst(autojump_clock):
    """At 40/s, with the loop blocked for a second, no window holds more than 40/s."""
    rate = se.Rate(40)
    world = World(default=[("request", 0, 200)] * 4, scripts={("20", "A"): [("request", 0, 200), ("stall", 1)]})
    engine = world.engine([world.platform("A", limit=100, rate=rate)], event_limit=100)
    await outcomes_of(engine, [se.Event(n) for n in range(40)])
    times = world.ledger.requests["A"]
    assert len(times) == 157
    assert not rate_broken(times, rate)


async def test_a_booking_that_is_not_used_at_once_lapses(autojump_clock):
    """A task that dallies before its first request makes it queue like any other."""
    rate = se.Rate.every(1)
    world = World(scripts={("late", "A"): [("sleep", 2.5), ("request", 0, 200)]}, default=[("request", 0, 200)])
    engine = world.engine([world.platform("A", rate=rate)])
    await outcomes_of(engine, [se.Event("late"), se.Event(1), se.Event(2), se.Event(3)])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 1, 2, 3]
    assert not rate_broken(times, rate)


async def test_a_cancelled_waiter_has_booked_nothing(autojump_clock):
    """Who gives up waiting for the rate leaves the turn to the next."""
    rate = se.Rate.every(10)
    world = World(
        scripts={("quitter", "A"): [("request", 0, 200), ("give up after", 3), ("request", 0, 200)]},
        default=[("request", 0, 200)],
    )
    engine = world.engine([world.platform("A", rate=rate)])
    await outcomes_of(engine, [se.Event("quitter"), se.Event("next")])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 10]


async def test_each_hop_of_a_redirect_takes_its_turn(autojump_clock):
    """A redirect costs two requests of the rate."""
    world = World(default=[("request", 0, "redirect")])
    engine = world.engine([world.platform("A", rate=se.Rate.every(1))])
    await outcomes_of(engine, [se.Event(1), se.Event(2)])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 1, 2, 3]
