"""Law 8: what is live is bounded by limits, `lookahead`, `buffer` and `max_pending`, never by the number of events."""

import itertools

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import cases, scripts, sleeps
from support.world import World, outcomes_of, virtually


@given(cases(steps=scripts(sleeps, longest=1)), st.integers(1, 5), st.integers(0, 3))
def test_a_source_is_read_at_most_the_lookahead_ahead(case, buffer, pace):
    """At no instant do more events of the source wait for a start than the lookahead, however slow the consumer is."""
    case.options |= {"lookahead": 2, "buffer": buffer}
    world, engine = case.build()
    given_out, most = [], 0

    def source():
        nonlocal most
        for event in case.events:
            started = sum(all((each.id, name) in world.ledger.starts for name in each.platforms) for each in given_out)
            most = max(most, len(given_out) - started)
            given_out.append(event)
            yield event

    async def main():
        async with engine.stream(source()) as run:
            async for _ in run:
                await trio.sleep(pace)

    virtually(main)
    assert len(given_out) == len(case.events)
    # Those that were started at this instant are in their scrapers only at the next turn of the loop.
    assert most <= 2 - 1 + sum(case.limits.values())


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 30))
def test_no_task_starts_while_the_buffer_is_full(limit, buffer, events):
    """A consumer that does not read leaves at most `buffer` outcomes, and those of the tasks that ran then."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=limit)], buffer=buffer, event_limit=50)

    async def main():
        async with engine.stream(se.Event(n) for n in range(events)) as run:
            await trio.sleep(1000)
            waiting = run.statistics().buffered
            ended = len(world.ledger.ends)
            return waiting, ended, [outcome async for outcome in run]

    waiting, ended, outcomes = virtually(main)
    assert waiting == ended <= buffer - 1 + limit
    assert ended == min(events, waiting)
    assert len(outcomes) == events


async def test_an_endless_source_is_read_lazily(autojump_clock):
    """An endless source is read only as far as the lookahead goes, and a run over it can be left."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=2)], lookahead=10)
    numbers = itertools.count()

    async with engine.stream(map(se.Event, numbers)) as run:
        found = [(await anext(run)).event.id for _ in range(20)]
    assert len(found) == 20
    assert next(numbers) <= 20 + 2 + 10


async def test_follow_never_blocks_and_says_when_the_agenda_is_full(autojump_clock):
    """Above `max_pending` waiting events `follow` raises, and the source pauses meanwhile."""
    followed, refused, read = [], [], []

    async def scrape(task):
        if task.event.id == "seed":
            for number in range(10):
                try:
                    assert task.follow(se.Event(f"child {number}"))
                    followed.append(number)
                except se.AgendaFull as error:
                    refused.append(number)
                    assert "max_pending" in str(error)
            await trio.sleep(5)
            read.append(len(seen))

    seen = []

    def source():
        for id in ["seed", *map(str, range(5))]:
            seen.append(id)
            yield se.Event(id)

    engine = se.Engine([se.Platform("A", scrape, limit=1)], max_pending=6)
    outcomes, report = await outcomes_of(engine, source())
    # The source was read before the seed ran: six events wait, one of them has been started.
    assert read == [6]
    assert (len(followed), len(refused)) == (1, 9)
    assert report.tasks == len(outcomes) == 7


async def test_an_id_is_a_duplicate_while_it_is_live_and_for_ever_if_it_was_followed(autojump_clock):
    """By source: a duplicate while it is live. By `follow`: for the whole run."""
    answers = []

    async def scrape(task):
        await trio.sleep(1)
        if task.event.id == "first":
            answers.extend([task.follow(se.Event("found")), task.follow(se.Event("found"))])
        if task.event.id == "last":
            answers.append(task.follow(se.Event("found")))
            answers.append(task.follow(se.Event("first")))

    async def main(dedupe):
        async def source():
            for id in ["first", "first"]:
                yield se.Event(id)
            await trio.sleep(10)
            for id in ["first", "found", "last"]:
                yield se.Event(id)

        engine = se.Engine([se.Platform("A", scrape)], dedupe=dedupe)
        outcomes, report = await outcomes_of(engine, source())
        return [outcome.event.id for outcome in outcomes], report.duplicates

    ids, duplicates = await main(False)
    # The second "first" of the source was new again; "first" is then live when "last" follows it, or ended: then new.
    assert sorted(ids) in (["first", "first", "found", "last"], ["first", "first", "first", "found", "last"])
    assert answers[:3] == [True, False, False]
    answers.clear()
    ids, duplicates = await main(True)
    assert sorted(ids) == ["first", "found", "last"]
    assert answers == [True, False, False, False]
    assert duplicates == 6


@pytest.mark.parametrize("hosts", [3, 400])
async def test_the_lanes_of_idle_hosts_go_away(autojump_clock, hosts):
    """A lane for each host while it has work; its rate is remembered while it matters, and not longer."""

    async def scrape(task):
        await trio.sleep(1)

    default = se.Platform("*", scrape, rate=se.Rate.every(2), limit=1)
    engine = se.Engine([], default=default, event_limit=2, lookahead=5)
    most_lanes = most_gates = 0
    events = (se.Event(f"{n}", url=f"http://host{n % hosts}.test/{n}") for n in range(500))
    async with engine.stream(events, sinks=()) as run:
        async for outcome in run:
            assert outcome.platform.startswith("host")
            most_lanes = max(most_lanes, len(run._session.parts.scheduler.lanes))
            most_gates = max(most_gates, len(engine._plan.gates))
    report = run.report
    assert report.outcomes.succeeded == 500
    assert most_lanes <= 2 + 5
    assert most_gates <= 8  # two a second, each for two seconds, and what was not looked at since
    assert list(report.platforms) == ["*"]


@pytest.mark.parametrize(("buffer", "size", "most"), [(3, 5, 10), (30, 5, 30)])
async def test_what_waits_for_a_sink_is_bounded(autojump_clock, buffer, size, most):
    """By the buffer, or by two batches of a sink that lingers; what runs by then may end, and no more starts."""
    seen = []

    async def slow(_):
        await trio.sleep(100)
        seen.append(run.statistics().buffered)

    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=2)], buffer=buffer)
    sink = se.sinks.of(slow, size=size, linger=1.0)
    async with engine.stream(map(se.Event, range(100)), sinks=[sink]) as run:
        report = await run.wait()
    assert report.outcomes.succeeded == 100
    assert most - 1 <= max(seen) <= most + 2 - 1
