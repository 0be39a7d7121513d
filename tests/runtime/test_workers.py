"""Tasks that run one after the other in one trio task do not notice it."""

import contextlib
import contextvars
import types

import pytest
import structlog
import trio

import scrapeengine as se
from scrapeengine.tasks.requesting import RequestingTask
from scrapeengine.tasks.workers import Workers

MARK = contextvars.ContextVar("mark", default="none")


async def run(scrape, count=6, limit=1, **policy):
    """Run events in source order; return their outcomes by event, and how many trio tasks ran scrapers."""
    workers = set()

    async def watched(task):
        workers.add(trio.lowlevel.current_task())
        return await scrape(task)

    engine = se.Engine([se.Platform("A", watched, limit=limit, **policy)], event_limit=limit)
    async with engine.stream(se.Event(number, data=number) for number in range(count)) as stream:
        outcomes = {outcome.event.data: outcome async for outcome in stream}
    assert sorted(outcomes) == list(range(count))
    return outcomes, len(workers)


async def test_what_starts_in_another_s_place_is_run_by_the_same_trio_task(autojump_clock):
    """Else nothing here would be tested."""

    async def scrape(task):
        await trio.sleep(1)

    assert (await run(scrape))[1] == 1
    assert (await run(scrape, count=30, limit=3))[1] == 3


async def test_context_variables_of_one_task_are_not_another_s(autojump_clock):
    """Each has those of the program that opened the run."""

    async def scrape(task):
        found = MARK.get(), structlog.contextvars.get_contextvars()
        MARK.set(task.event.id)
        structlog.contextvars.bind_contextvars(feed=task.event.id)
        await trio.sleep(1)
        return found

    async def changes(task):
        found = MARK.get(), {}
        MARK.set(task.event.id)  # and binds none that was not there
        await trio.sleep(1)
        return found

    MARK.set("the program's")
    for each in (scrape, changes):
        outcomes, workers = await run(each)
        assert [outcome.value for outcome in outcomes.values()] == [("the program's", {})] * 6
        assert workers == 1


@pytest.mark.parametrize("seconds", [1, 1000])
async def test_a_scope_that_a_scraper_leaves_open_is_its_own(autojump_clock, seconds):
    """As a generator does that was not read to its end, with a timeout inside. Its own task fails, and no other."""
    kept = []

    async def pages():
        with trio.move_on_after(seconds):
            yield 1
            yield 2

    async def scrape(task):
        if task.event.data == 2:
            kept.append(pages())
            await anext(kept[0])
            return None
        await trio.sleep(30)
        return task.event.data

    outcomes, workers = await run(scrape)
    failure = outcomes.pop(2)
    assert isinstance(failure, se.Failure)
    assert "Cancel scope stack corrupted" in str(failure.error)
    assert [outcome.value for outcome in outcomes.values()] == [0, 1, 3, 4, 5]
    assert workers == 2


async def test_a_cancelled_scope_that_a_scraper_leaves_open_is_its_own(autojump_clock):
    """The same where it has been cancelled already."""
    kept = []

    async def scrape(task):
        if task.event.data == 2:
            scope = trio.CancelScope()
            scope.__enter__()
            scope.cancel()
            kept.append(scope)
            return None
        await trio.sleep(30)
        return task.event.data

    outcomes, _ = await run(scrape)
    assert isinstance(outcomes.pop(2), se.Failure)
    assert [outcome.value for outcome in outcomes.values()] == [0, 1, 3, 4, 5]


async def test_a_nursery_that_a_scraper_leaves_open_is_its_own(autojump_clock):
    """What runs there is cancelled and waited for, and the run goes on."""
    kept, ends = [], []

    async def child():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.5)
            ends.append("child")

    async def pages():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            yield 1

    async def scrape(task):
        if task.event.data == 2:
            kept.append(pages())
            await anext(kept[0])
            return None
        await trio.sleep(30)
        ends.append(task.event.data)
        return task.event.data

    outcomes, workers = await run(scrape)
    failure = outcomes.pop(2)
    assert isinstance(failure, se.Failure)
    assert "Cancel scope stack corrupted" in str(failure.error)
    assert [outcome.value for outcome in outcomes.values()] == [0, 1, 3, 4, 5]
    assert ends == [0, 1, "child", 3, 4, 5]
    assert workers == 2


async def test_each_task_has_a_deadline_of_its_own(autojump_clock):
    """From its own start; and one that has exceeded it takes no other along."""

    async def scrape(task):
        await trio.sleep(20 if task.event.data in {2, 3} else 9)
        return task.event.data

    outcomes, _ = await run(scrape, timeout=se.Timeout(task=10))
    assert [type(outcomes.pop(number).error) for number in (2, 3)] == [se.TaskTimeout] * 2
    assert [outcome.value for outcome in outcomes.values()] == [0, 1, 4, 5]


async def test_who_swallows_its_cancellation_takes_no_other_along(autojump_clock):
    """It ends as it says; the next one begins with a scope that is not cancelled."""

    async def scrape(task):
        with trio.CancelScope(shield=True):
            await trio.sleep(11 if task.event.data == 2 else 1)
        return task.event.data

    outcomes, workers = await run(scrape, timeout=se.Timeout(task=10))
    assert [outcome.value for outcome in outcomes.values()] == list(range(6))
    assert workers == 2


async def test_scrapers_without_a_checkpoint_hold_nobody_up(autojump_clock):
    """Others have their turn after each of them."""
    turns = []

    async def scrape(task):
        turns.append("scraper")

    async def other():
        for _ in range(10):
            turns.append("other")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        async with se.Engine([se.Platform("A", scrape, limit=1)]).stream(map(se.Event, range(100))) as stream:
            nursery.start_soon(other)
            async for _ in stream:
                pass
    last = len(turns) - 1 - turns[::-1].index("other")
    assert turns[:last].count("scraper") <= 20


async def apart(seconds, events):
    """A source that waits before each of its events."""
    for event in events:
        await trio.sleep(seconds)
        yield event


async def test_a_worker_rests_until_another_task_starts(autojump_clock):
    """Where a task ends and none may start in its place, its trio task runs the one that comes later."""
    workers, found = set(), []

    async def scrape(task):
        workers.add(trio.lowlevel.current_task())
        found.append(MARK.get())
        MARK.set(task.event.id)
        await trio.sleep(1)

    MARK.set("the program's")
    async with se.Engine([se.Platform("A", scrape)]).stream(apart(2, map(se.Event, range(6)))) as run:
        async for _ in run:
            pass
    assert len(workers) == 1
    assert found == ["the program's"] * 6


@pytest.mark.parametrize(("seconds", "workers"), [(5, 1), (30, 5)])
async def test_a_worker_rests_no_longer_than_the_deadline_of_its_last_task(autojump_clock, seconds, workers):
    """What comes after that is run by another one; and each task has a deadline of its own."""
    found = set()

    async def scrape(task):
        found.add(trio.lowlevel.current_task())
        await trio.sleep(1)
        return task.event.data

    engine = se.Engine([se.Platform("A", scrape, timeout=se.Timeout(task=10))])
    async with engine.stream(apart(seconds, (se.Event(n, data=n) for n in range(5)))) as run:
        assert [outcome.value async for outcome in run] == [0, 1, 2, 3, 4]
    assert len(found) == workers


@pytest.mark.parametrize("leave", ["read", "left", "raised", "cancelled", "stopped"])
async def test_workers_that_rest_end_with_the_run(autojump_clock, leave):
    """However it ends, none of them is left behind."""
    before = trio.lowlevel.current_statistics().tasks_living

    async def scrape(task):
        await trio.sleep(0.1 * task.event.data)

    async def play():
        source = (se.Event(n, data=n) for n in range(5)) if leave == "read" else endless()
        async with se.Engine([se.Platform("A", scrape)]).stream(source) as run:
            async for outcome in run:
                if outcome.event.data == 4:  # all have ended, and rest
                    await trio.sleep(1)
                    if leave == "stopped":
                        await run.stop()
                    elif leave == "raised":
                        raise LookupError
                    elif leave == "cancelled":
                        scope.cancel()
                    elif leave == "left":
                        return

    async def endless():
        for n in range(5):
            yield se.Event(n, data=n)
        await trio.sleep_forever()

    with trio.CancelScope() as scope, contextlib.suppress(LookupError):
        await play()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_task_that_has_ended_cancels_nobody(autojump_clock):
    """Its request outlives it in a nursery of the program's, where the run that stops would cut it short."""
    old = []

    async def scrape(task):
        if task.event.data == 0:
            old.append(task._record)
            return None
        await trio.sleep(1)
        old[0].cancel("much too late")
        await trio.sleep(1)
        return task.event.data

    outcomes, workers = await run(scrape, count=3)
    assert [outcome.value for outcome in outcomes.values()] == [None, 1, 2]
    assert workers == 1


async def test_a_task_that_has_ended_takes_no_deadline_from_another(autojump_clock):
    """Its request, in a nursery of the program's, would park it, and stop the clock of who has its scope now."""
    old = []

    async def scrape(task):
        if task.event.data == 0:
            old.append(task)
            return None
        with pytest.raises(RuntimeError, match="the task has ended"):
            await RequestingTask(old[0]._record, old[0]._services).apart(trio.Event())
        await trio.sleep(11)
        return "too late"

    outcomes, _ = await run(scrape, count=2, timeout=se.Timeout(task=10))
    assert isinstance(outcomes[1].error, se.TaskTimeout)


async def test_what_a_task_follows_has_the_program_s_context(autojump_clock):
    """Not that of the task in whose step it starts."""

    async def scrape(task):
        found = MARK.get()
        MARK.set("a task's")
        if task.event.data < 5:
            task.follow(se.Event(f"after {task.event.id}", data=task.event.data + 10))
        await trio.sleep(1)
        return found

    MARK.set("the program's")
    async with se.Engine([se.Platform("A", scrape, limit=20)]).stream([se.Event(0, data=0)]) as stream:
        found = [outcome.value async for outcome in stream]
    assert found == ["the program's"] * 2


async def test_an_error_of_ours_is_not_taken_for_the_task_s(autojump_clock):
    """What goes wrong when a task has ended ends the run, and the task is not ended twice."""
    ends = []

    class Ending:
        record = types.SimpleNamespace(scope=trio.CancelScope())
        ended_by = None

        async def run(self):
            await trio.sleep(1)
            return "outcome"

    class Endings:
        broken = ends.append

        def ended(self, _, outcome):
            ends.append(outcome)
            raise LookupError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            Workers(nursery, Endings()).start(Ending())
    assert caught.group_contains(LookupError, match="a bug")
    assert ends == ["outcome"]


async def test_who_was_to_be_next_ends_too_where_we_have_a_bug(autojump_clock):
    """It has its slots already, and would be waited for."""
    broken = []

    class Ending:
        def __init__(self, scope):
            self.record = types.SimpleNamespace(scope=scope)

        async def run(self):
            return se.Success(
                event=se.Event("e"), platform="A", attempts=1, queued=0.0, parked=0.0, ran=0.0, value=None
            )

    class Endings:
        def ended(self, _task, _outcome):
            following.append(Ending(workers[0].scope(10.0)))
            workers[0].start(following[0])
            raise LookupError("a bug")

        def broken(self, task):
            broken.append(task)

    workers, following = [], []

    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            workers.append(Workers(nursery, Endings()))
            workers[0].start(Ending(trio.CancelScope()))
    assert caught.group_contains(LookupError, match="a bug")
    assert broken == following
