"""Law 4: in any window of w seconds at most `burst + w * count / per` requests start on a platform.

It holds for each of its rates, and a request counts as many times as it costs.
"""

import math

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.ledger import rate_broken
from support.strategies import abandonments, cases, costs, rates, requests, scripts, sleeps, stalls, troubles, waits
from support.world import World, outcomes_of, virtually


@given(cases(steps=scripts(requests, requests, sleeps, stalls, troubles, abandonments)))
def test_no_window_holds_more_requests_than_the_rate_allows(case):
    """Concurrent tasks, retries and redirect hops included, and whatever stalls the loop."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    for name, rate in case.rates.items():
        assert not rate_broken(world.ledger.requests[name], rate)
    assert not world.ledger.broken


dear = st.tuples(st.just("request"), st.sampled_from([0, 0.25, 1.0]), st.sampled_from([200, "redirect"]), costs)


@given(
    st.lists(rates, min_size=1, max_size=3),
    st.integers(1, 12),
    st.lists(scripts(requests, dear, sleeps, stalls, abandonments), min_size=8, max_size=8),
)
def test_each_of_several_rates_holds_and_a_request_counts_as_it_costs(paces, limit, told):
    """In any window, concurrent tasks, redirects and other platforms' tasks included, whatever stalls the loop."""
    world = World(scripts={(str(number), "A"): script for number, script in enumerate(told)})
    engine = world.engine([world.platform("A", limit=limit, rate=paces), world.platform("B")], event_limit=8)
    events = [se.Event(number, platforms=("A",)) for number in range(8)]
    virtually(outcomes_of, engine, events)
    for rate in paces:
        assert not rate_broken(world.ledger.requests["A"], rate, costs=world.ledger.costs["A"])
    assert not world.ledger.broken


@given(st.lists(rates, min_size=1, max_size=3), costs, st.integers(1, 3), st.integers(1, 12))
def test_several_rates_and_costs_are_used_in_full(paces, cost, requests_each, events):
    """Requests of one cost start exactly as the rates allow, a cost of more than the burst once all before is paid."""
    world = World(default=[("request", 0, 200, cost)] * requests_each)
    engine = world.engine([world.platform("A", limit=50, rate=paces)], event_limit=50)
    virtually(outcomes_of, engine, [se.Event(n) for n in range(events)])
    times = world.ledger.requests["A"]
    assert len(times) == events * requests_each
    tats = [times[0]] * len(paces)
    for time in times:
        opens_at = [tat - max(0, rate.burst - cost) * rate.interval for tat, rate in zip(tats, paces, strict=True)]
        # A task starts when a request of cost 1 may, so never later than a dear one.
        assert time == pytest.approx(max(times[0], *opens_at), abs=1e-6)
        tats = [max(tat, time) + cost * rate.interval for tat, rate in zip(tats, paces, strict=True)]


@given(rates, rates, rates, waits)
def test_a_second_rate_that_is_tuned_holds_from_then_on(first, second, third, when):
    """From the change on all the new rates hold, from one to two, to one, and to none."""
    world = World(default=[("request", 0, 200)] * 2)
    engine = world.engine([world.platform("A", limit=30, rate=first)], event_limit=30)
    changes = []

    async def main():
        async with engine.stream(se.Event(n) for n in range(20)) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                for paces in ([first, second], [second, third], third, []):
                    await trio.sleep(when)
                    if len(changes) % 2:
                        engine.tune("A", rate=paces)
                    else:  # as one of all settings at once
                        engine.apply(engine.settings().with_values({"platforms": {"A": {"rate": paces}}}))
                    changes.append((trio.current_time(), [paces] if isinstance(paces, se.Rate) else paces))

            async for _ in run:
                pass
            nursery.cancel_scope.cancel()

    virtually(main)
    times = world.ledger.requests["A"]
    ends = [at for at, _ in changes[1:]] + [math.inf]
    for (begin, paces), end in zip(changes, ends, strict=False):
        for rate in paces:
            assert not rate_broken([time for time in times if begin < time < end], rate)
    assert len(times) == 40


async def test_a_dear_request_is_not_kept_waiting_by_cheap_ones(autojump_clock):
    """The rate is saved up for it: what stands behind it in the line, and what would start anew, waits."""
    rate = se.Rate(1, burst=10)
    cheap = [("request", 0, 200)] * 30
    world = World(scripts={("dear", "A"): [*cheap[:10], ("request", 0, 200, 10)]}, default=cheap)
    engine = world.engine([world.platform("A", rate=rate, limit=3)])
    await outcomes_of(engine, [se.Event("dear"), *(se.Event(n) for n in range(6))])
    ledger = world.ledger
    place = ledger.costs["A"].index(10)
    assert place < 40
    assert not rate_broken(ledger.requests["A"], rate, costs=ledger.costs["A"])


async def test_a_dear_request_is_not_kept_waiting_by_those_of_other_platforms(autojump_clock):
    """They take turns with it: what is saved up for it is not theirs."""
    rate, asked = se.Rate(1, burst=10), []

    def answer(request):
        asked.append((trio.current_time(), int(request.url.params["cost"])))
        return httpx.Response(200)

    async def dear(task):
        for cost in [*[1] * 10, 10]:
            await task.http.get("http://a.test/", params={"cost": cost}, cost=cost)

    async def cheap(task):
        for _ in range(40):
            await task.http.get("http://a.test/", params={"cost": 1})

    transport = httpx.MockTransport(answer)
    there = se.Platform("A", dear, base_url="http://a.test", rate=rate, transport=transport)
    here = se.Platform("B", cheap, base_url="http://b.test", transport=transport)
    events = [se.Event("dear", platforms=["A"]), *(se.Event(number, platforms=["B"]) for number in range(3))]
    await outcomes_of(se.Engine([there, here]), events)
    assert len(asked) == 11 + 3 * 40
    assert [cost for _, cost in asked].index(10) < 60
    assert not rate_broken([at for at, _ in asked], rate, costs=[cost for _, cost in asked])


async def test_retries_cost_as_much_again(autojump_clock):
    """Each attempt of a request counts as it costs; its platform's retries are counted by ones."""
    world = World(default=[("request", 0, 500, 3), ("request", 0, 200)])
    engine = world.engine([world.platform("A", rate=se.Rate.every(1))])
    await outcomes_of(engine, [se.Event(1)])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 3, 6]


@pytest.mark.parametrize(("cost", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
async def test_a_cost_that_is_none_is_refused(autojump_clock, cost, error):
    """Before anything is asked."""
    world = World(default=[("request", 0, 200, cost)])
    [outcome], _ = await outcomes_of(world.engine([world.platform("A")]), [se.Event(1)])
    assert isinstance(outcome.error, error)
    assert "cost" in str(outcome.error)
    assert not world.ledger.requests["A"]


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
