"""What leaves a stream, and what a source, a consumer and a sink may do to it."""

from itertools import pairwise

import pytest
import trio

import scrapeengine as se
from support.world import World


def napping(limit=8, **options):
    """Make a world of tasks of a second, and its engine."""
    world = World(default=[("sleep", 1)])
    return world, world.engine([world.platform("A", limit=limit)], **options)


@pytest.mark.parametrize("error", [LookupError("mine"), ExceptionGroup("mine", [ValueError()]), SystemExit(7)])
async def test_what_the_body_raises_leaves_as_the_same_object(autojump_clock, error):
    """No group around it, nothing left running, whatever the tasks are doing."""
    world, engine = napping()

    with pytest.raises(type(error)) as caught:
        async with engine.stream(map(se.Event, range(50))) as run:
            await anext(run)
            raise error
    assert caught.value is error
    report = run.report
    assert report.tasks == report.outcomes.total
    assert report.stopped == "the run was left"
    assert not world.ledger.events_inside


async def test_a_consumer_may_leave_early(autojump_clock):
    """A `break` out of the loop cancels everything, and the report counts what no one has read."""
    world, engine = napping(limit=3, lookahead=5)

    begun = trio.current_time()
    async with engine.stream(map(se.Event, range(1000))) as run:
        async for _ in run:
            break
    seconds = trio.current_time() - begun
    report = run.report
    assert seconds == 1
    assert report.unread == report.tasks - 1
    assert report.outcomes.total == report.tasks
    assert not world.ledger.events_inside


async def test_a_source_that_raises_gives_its_error_after_all_that_it_gave_before(autojump_clock):
    """What was accepted ends and is delivered; then the source's own error comes out of the iteration, once."""
    _, engine = napping()
    error = OSError("the list is gone")

    def source():
        yield from map(se.Event, range(5))
        raise error

    async def main():
        outcomes = []
        with pytest.raises(OSError, match="the list is gone") as caught:
            async with engine.stream(source()) as run:
                async for outcome in run:
                    outcomes.append(outcome)
        assert caught.value is error
        async with engine.stream(source()) as run:
            with pytest.raises(OSError, match="gone"):
                async for _ in run:
                    pass
            assert [outcome async for outcome in run] == []
        with pytest.raises(OSError, match="gone"):
            await engine.run(source())
        return outcomes

    assert [type(outcome) for outcome in await main()] == [se.Success] * 5


@pytest.mark.parametrize("bad", ["https://example.com", 17, None])
async def test_a_source_of_something_else_says_what_it_gave(autojump_clock, bad):
    """What is no event ends the source with an error that says what to write; what came before is delivered."""
    _, engine = napping()

    ended = []
    with pytest.raises(TypeError, match="write Event"):
        async with engine.stream([se.Event(1), bad, se.Event(2)]) as run:
            async for outcome in run:
                ended.append(outcome.event.id)
    assert ended == ["1"]


@pytest.mark.parametrize("bad", ["https://example.com", se.Event(1), 17, None])
def test_what_is_no_source_is_refused_where_it_is_handed_in(bad):
    """One event, a text, a number: refused by `stream` itself, before anything runs."""
    _, engine = napping()
    with pytest.raises(TypeError, match="iterable"):
        engine.stream(bad)


async def test_generators_are_closed_and_other_iterators_are_left_to_their_owners(autojump_clock):
    """A generator's `finally` has run when the stream is over; an iterator of the program's own goes on."""
    closed = []

    def source():
        try:
            yield from map(se.Event, range(100))
        finally:
            closed.append("generator")

    async def async_source():
        try:
            for number in range(100):
                yield se.Event(number)
                await trio.sleep(1)
        finally:
            closed.append("async generator")

    _, engine = napping(lookahead=3)
    for events in (source(), async_source()):
        async with engine.stream(events) as run:
            await anext(run)
    numbers = iter(range(100))
    async with engine.stream(map(se.Event, numbers)) as run:
        await anext(run)
    assert next(numbers) < 20
    assert closed == ["generator", "async generator"]


async def test_async_sources_may_be_endless_and_slow(autojump_clock):
    """Events are taken as they come; outcomes do not wait for the next event."""
    _, engine = napping()

    async def source():
        number = 0
        while True:
            yield se.Event(number)
            number += 1
            await trio.sleep(60)

    begun, times = trio.current_time(), []
    async with engine.stream(source()) as run:
        async for _ in run:
            times.append(trio.current_time() - begun)
            if len(times) == 3:
                await run.stop()
    assert times == [1, 61, 121]


async def test_an_event_that_has_nowhere_to_go_is_a_failure_and_the_run_goes_on(autojump_clock):
    """An unknown platform, a host without one, a URL without a host: failures of the events, not of the source."""
    _, engine = napping()
    events = [
        se.Event("both", platforms=("A", "nowhere")),
        se.Event(url="https://unknown.test/1"),
        se.Event(url="mailto:someone@unknown.test"),
        se.Event("fine"),
    ]

    async with engine.stream(events) as run:
        outcomes = [outcome async for outcome in run]
    report = run.report
    assert [outcome.platform for outcome in outcomes] == ["nowhere", "unknown.test", "", "A", "A"]
    for failure in outcomes[:3]:
        assert isinstance(failure, se.Failure)
        assert isinstance(failure.error, se.UnknownPlatform)
        assert failure.attempts == 0
    assert report.errors == {"UnknownPlatform": 3}
    assert report.events == 4
    assert report.tasks == 5


def test_what_a_task_follows_by_hand_is_refused_at_once():
    """Unknown platforms and what is no event raise in the scraper, from `task.follow` itself."""
    raised = []

    async def scrape(task):
        for bad in (se.Event("x", platforms=("nowhere",)), se.Event(url="https://nowhere.test/"), "https://x.test/"):
            try:
                task.follow(bad)
            except (se.UnknownPlatform, TypeError) as error:
                raised.append(type(error))
        return task

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event("e")])
    assert raised == [se.UnknownPlatform, se.UnknownPlatform, TypeError]
    with pytest.raises(RuntimeError, match="has ended"):
        outcome.value.follow(se.Event("late"))


def test_follow_ups_run_before_the_end():
    """The run ends when nothing is left, follow-ups of follow-ups included."""

    async def scrape(task):
        depth = len(task.event.id)
        return [task.follow(se.Event(task.event.id + letter)) for letter in "ab" if depth < 4]

    outcomes = se.collect([se.Platform("A", scrape)], [se.Event("x")])
    assert len(outcomes) == 1 + 2 + 4 + 8


async def test_one_engine_runs_once_at_a_time_and_then_again(autojump_clock):
    """A second run at once is an error that says so; one after the other is as if in one."""
    world = World(default=[("request", 0, 200)])
    engine = world.engine([world.platform("A", rate=se.Rate.every(10))])

    async with engine.stream([se.Event(1)]):
        with pytest.raises(se.EngineBusy, match="running already"):
            async with engine.stream([se.Event(2)]):
                pass
        assert "running" in repr(engine)
    assert "idle" in repr(engine)
    for number in range(3):
        await engine.run([se.Event(number)])
    times = world.ledger.requests["A"]
    assert [later - sooner for sooner, later in pairwise(times)] == [10] * (len(times) - 1)
    assert len(times) >= 3


async def test_a_cancelled_read_loses_no_outcome(autojump_clock):
    """A consumer that gives up reading, and reads again, gets all there is."""
    _, engine = napping(limit=1)

    ids = []
    async with engine.stream(map(se.Event, range(5))) as run:
        while len(ids) < 5:
            with trio.move_on_after(0.3):
                ids.append((await anext(run)).event.id)
    assert ids == ["0", "1", "2", "3", "4"]


async def test_what_is_shown_of_a_run_counts(autojump_clock):
    """Statistics, report and reprs say what is going on, at that instant."""
    _, engine = napping(limit=2, event_limit=3)

    async with engine.stream(map(se.Event, range(5))) as run:
        await trio.sleep(1.5)
        now = run.statistics()
        lane = run._session.parts.scheduler.lanes["A"]
        report = run.report
        shown = repr(run)
        lane = repr(lane)
    assert (now.running, now.waiting, now.parked, now.live, now.in_progress, now.buffered) == (2, 1, 0, 3, 2, 2)
    assert (now.platforms["A"].limit, now.platforms["A"].running, now.event_limit) == (2, 2, 3)
    assert report.outcomes == se.Counts(succeeded=2)
    assert report.elapsed == 1.5
    assert shown == "<Run 2/5 tasks ended>"
    assert lane == "<Lane 'A' 2/2 running, 0 parked, 1 waiting>"
