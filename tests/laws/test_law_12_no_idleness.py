"""Law 12: no accepted task waits while limits, rate, state, event limit and buffer would let it run."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.greedy import Site, idle_tasks, starts_alone
from support.strategies import cases, quarters, rates, waits
from support.world import World, virtually

naps = st.tuples(st.just("sleep"), waits)


async def run_it(world, engine, events, pauses, limits):
    """Run a case with its pauses; return starts and ends from the beginning of the run."""
    begun = trio.current_time()
    async with engine.stream(events) as run, trio.open_nursery() as nursery:
        for name, (begin, end) in pauses.items():

            @nursery.start_soon
            async def _(name=name, begin=begin, end=end):
                await trio.sleep_until(begun + begin)
                engine.tune(name, limit=0)
                await trio.sleep_until(begun + end)
                engine.tune(name, limit=limits[name])

        async for outcome in run:
            assert isinstance(outcome, se.Success)
        nursery.cancel_scope.cancel()
    starts = {task: time - begun for task, time in world.ledger.starts.items()}
    return starts, {task: time - begun for task, time in world.ledger.ends.items()}


@given(
    cases(steps=st.lists(naps, min_size=1, max_size=1), most_events=12),
    st.dictionaries(st.sampled_from("ABC"), st.tuples(quarters, waits), max_size=2),
)
def test_no_task_waits_for_nothing(case, pauses):
    """At no moment between two changes is there a task that everything would let run, by a model of its own."""
    case.options["lookahead"] = 1000
    # Off the grid, and off each other: what begins at the instant at which something else ends may come before it or
    # after, and an event that waits for both platforms has given its slot back in one case, and not in the other.
    off = {"A": 1 / 32, "B": 2 / 32, "C": 3 / 32}
    pauses = {
        name: (at + off[name], at + off[name] + length) for name, (at, length) in pauses.items() if name in case.limits
    }
    world, engine = case.build()
    world.ledger.limits.clear()
    starts, ends = virtually(run_it, world, engine, case.events, pauses, case.limits)
    sites = {
        name: Site(limit, case.rates.get(name), (pauses[name],) if name in pauses else ())
        for name, limit in case.limits.items()
    }
    assert not idle_tasks(sites, case.options["event_limit"], case.tasks(), starts, ends)


@given(
    st.integers(1, 4),
    st.one_of(st.none(), rates),
    waits,
    st.integers(1, 25),
    st.one_of(st.none(), st.tuples(quarters, waits)),
)
def test_a_platform_alone_starts_as_greedily_as_the_model(limit, rate, nap, events, pause):
    """Where the event limit does not bind, the n-th task starts when the model's does, to the moment."""
    pauses = {} if pause is None else {"A": (pause[0] + 1 / 32, pause[0] + 1 / 32 + pause[1])}
    world = World(default=[("sleep", nap)])
    engine = world.engine([world.platform("A", limit=limit, rate=rate)], event_limit=100)
    world.ledger.limits.clear()
    starts, _ = virtually(run_it, world, engine, [se.Event(n) for n in range(events)], pauses, {"A": limit})
    expected = starts_alone(Site(limit, rate, tuple(pauses.values())), [nap] * events)
    assert sorted(starts.values()) == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 3), st.integers(1, 3), st.lists(waits, min_size=1, max_size=15))
def test_room_in_the_buffer_is_used_at_once(limit, buffer, naps_of_the_consumer):
    """A slow consumer that reads one outcome makes room, and the next task starts at that instant."""
    world = World(default=[])
    engine = world.engine([world.platform("A", limit=limit)], buffer=buffer, event_limit=50)

    async def main():
        reads, begun = [], trio.current_time()
        async with engine.stream(map(se.Event, range(len(naps_of_the_consumer)))) as run:
            for nap in naps_of_the_consumer:
                await trio.sleep(nap)
                await anext(run)
                reads.append(trio.current_time() - begun)
        return reads, sorted(time - begun for time in world.ledger.starts.values())

    reads, starts = virtually(main)
    # Up to `buffer` outcomes wait and tasks that ran then add theirs; after that each read lets at least one start.
    for number, start in enumerate(starts):
        assert start in {0, *reads}
        assert start <= reads[max(0, number - buffer)]


def test_the_model_itself_sees_idleness():
    """A schedule in which a task dawdles is found out."""
    sites = {"A": Site(limit=1)}
    tasks = [("1", "A"), ("2", "A")]
    starts = {tasks[0]: 0.0, tasks[1]: 1.5}
    ends = {tasks[0]: 1.0, tasks[1]: 2.5}
    assert idle_tasks(sites, 5, tasks, starts, ends) == [(("2", "A"), 1.0, 1.5)]
    assert not idle_tasks(sites, 5, tasks, starts | {tasks[1]: 1.0}, ends | {tasks[1]: 2.0})
    assert starts_alone(sites["A"], [1, 1]) == [0, 1]


async def test_a_full_buffer_forgets_no_lane(autojump_clock):
    """A lane that has both a fresh and a held job waits for room with both: the held one needs no event slot."""

    async def scrape(task):
        await trio.sleep(5 if task.platform == "A" else 1)

    engine = se.Engine([se.Platform("A", scrape), se.Platform("B", scrape, limit=1)], event_limit=3, buffer=1)
    events = [
        se.Event("e0", platforms=("B",)),
        se.Event("e1", platforms=("A", "B")),
        se.Event("e2", platforms=("B",), priority=10),
    ]

    async with engine.stream(events) as run:
        await trio.sleep(2)
        engine.tune(event_limit=1)
        found = [outcome async for outcome in run]
    assert len(found) == 4
