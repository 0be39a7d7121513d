"""Law 7: no platform delays another, but through the event limit. The figures are the design's."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.world import World, virtually

EXACT = 0.1


async def last_ends(limits, events, *, event_limit, tunes=(), seconds=1.0):
    """Run events of one second, and say when each platform ended."""
    world = World(default=[("sleep", seconds)])
    engine = world.engine(
        [world.platform(name, limit=limit) for name, limit in limits.items()], event_limit=event_limit
    )

    begun = trio.current_time()
    async with engine.stream(events) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            for when, name, limit in tunes:
                await trio.sleep_until(begun + when)
                engine.tune(name, limit=limit)

        async for outcome in run:
            assert isinstance(outcome, se.Success)
        nursery.cancel_scope.cancel()
    ends = {}
    for (_, platform), time in world.ledger.ends.items():
        ends[platform] = max(ends.get(platform, 0), time - begun)
    return ends


@given(st.permutations(["A"] * 160 + ["B"] * 40))
def test_a_slow_platform_does_not_hold_up_a_fast_one_in_any_order(order):
    """200 events of 1 s, 80 % on A (limit 2), 20 % on B (limit 8), event limit 10: B ends at 5 s, A at 80 s."""
    events = [se.Event(number, platforms=(name,)) for number, name in enumerate(order)]
    ends = virtually(last_ends, {"A": 2, "B": 8}, events, event_limit=10)
    assert ends == {"A": pytest.approx(80, abs=EXACT), "B": pytest.approx(5, abs=EXACT)}


async def test_events_on_three_platforms_end_as_their_platforms_do(autojump_clock):
    """100 events on A (limit 2), B and C (limit 8), event limit 100: B and C end at 13 s, A at 50 s."""
    ends = await last_ends({"A": 2, "B": 8, "C": 8}, [se.Event(n) for n in range(100)], event_limit=100)
    assert ends["A"] == pytest.approx(50, abs=EXACT)
    assert ends["B"] == pytest.approx(13, abs=EXACT)
    assert ends["C"] == pytest.approx(13, abs=EXACT)


async def test_a_binding_event_limit_does_not_hold_up_the_slowest(autojump_clock):
    """The same with event limit 10: A still ends at 50 s."""
    ends = await last_ends({"A": 2, "B": 8, "C": 8}, [se.Event(n) for n in range(100)], event_limit=10)
    assert ends["A"] == pytest.approx(50, abs=EXACT)


@pytest.mark.parametrize("event_limit", [10, 100])
async def test_a_paused_platform_holds_up_no_other(autojump_clock, event_limit):
    """With A paused from 5 s to 65 s, B and C end no later than if it were not."""
    limits, events = {"A": 2, "B": 8, "C": 8}, [se.Event(n) for n in range(100)]
    free = await last_ends(limits, events, event_limit=event_limit)
    paused = await last_ends(limits, events, event_limit=event_limit, tunes=[(5, "A", 0), (65, "A", 2)])
    assert paused["B"] <= free["B"] + EXACT
    assert paused["C"] <= free["C"] + EXACT
    # Where the event limit binds, the events that wait for A alone give up their slots: B and C need not wait for it.
    assert paused["B"] <= 17
    assert paused["C"] <= 17
    assert paused["A"] == pytest.approx(110, abs=1 + EXACT)  # two tasks more or less at the instant of the pause


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.sampled_from([("A",), ("B",), ("A", "B"), ("B", "A")]), max_size=20),
    st.lists(st.integers(-1, 1), min_size=20, max_size=20),
)
def test_two_limits_never_wait_for_each_other(event_limit, limit_a, limit_b, platforms, priorities):
    """Events on two platforms, small limits, any priorities: every one ends, and no slot lies idle for a second."""
    events = [se.Event(number, platforms=names, priority=priorities[number]) for number, names in enumerate(platforms)]
    ends = virtually(last_ends, {"A": limit_a, "B": limit_b}, events, event_limit=event_limit)
    work = sum(map(len, platforms))
    assert max(ends.values(), default=0) <= work  # one task at a time, at the worst


async def test_freed_event_slots_go_round_the_lanes_that_wait(autojump_clock):
    """Where the event limit binds, two platforms with room share what is freed, though one was first in the source."""
    events = [se.Event(number, platforms=("A" if number < 100 else "B",)) for number in range(200)]
    ends = await last_ends({"A": 50, "B": 50}, events, event_limit=4)
    assert ends["A"] == pytest.approx(50, abs=1)
    assert ends["B"] == pytest.approx(50, abs=1)


async def test_at_equal_priority_a_lane_first_takes_a_task_whose_event_holds_a_slot(autojump_clock):
    """The outcomes of one event come close together: its second platform takes it before an event that came earlier."""
    world = World(scripts={("both", "B"): [("sleep", 5)]}, default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=1)], event_limit=3)
    events = [se.Event(id, platforms=names) for id, names in [("0", ("A",)), ("1", ("A",)), ("both", ("B", "A"))]]

    begun = trio.current_time()
    async with engine.stream(events) as run:
        async for _ in run:
            pass
    assert {event: time - begun for (event, name), time in world.ledger.starts.items() if name == "A"} == {
        "0": 0,
        "both": 1,
        "1": 2,
    }


async def test_a_more_urgent_event_comes_first(autojump_clock):
    """A larger priority starts sooner, and before tasks of events that hold a slot."""
    world = World(scripts={("both", "B"): [("sleep", 5)]}, default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=1)], event_limit=3)
    events = [
        se.Event("0", platforms=("A",)),
        se.Event("1", platforms=("A",), priority=-1),
        se.Event("both", platforms=("B", "A")),
        se.Event("urgent", platforms=("A",), priority=7),
    ]

    async with engine.stream(events) as run:
        found = [outcome.event.id async for outcome in run if outcome.platform == "A"]
    assert found == ["0", "urgent", "both", "1"]


async def test_limiters_nested_in_an_event_would_end_b_at_75_seconds(autojump_clock):
    """The figure that the design has for the shape it rejects: each event waits for its platform with its slot held."""
    begun, ends = trio.current_time(), {}
    events, limiters = trio.CapacityLimiter(10), {"A": trio.CapacityLimiter(2), "B": trio.CapacityLimiter(8)}

    async def event(name, token):
        async with limiters[name]:
            await trio.sleep(1)
        ends[name] = trio.current_time() - begun
        events.release_on_behalf_of(token)

    async with trio.open_nursery() as nursery:
        for number in range(200):
            token = object()
            await events.acquire_on_behalf_of(token)
            nursery.start_soon(event, "A" if number % 5 else "B", token)
    assert ends == {"A": 80, "B": 75}
