"""Law 9: `stop(grace)` returns when no task runs, within a second of the grace, and nothing of ours is left."""

import gc
import logging
import os
import threading

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.strategies import abandonments, cases, quarters, requests, scripts, sleeps, troubles
from support.world import World, virtually


@given(cases(steps=scripts(sleeps, requests, troubles, abandonments)), quarters, quarters, st.booleans())
def test_stop_returns_by_its_deadline_and_no_task_starts_after_it(case, when, grace, reads):
    """Whatever runs, and whether or not anyone reads: `stop` is back by its grace, and no scraper runs then."""
    world, engine = case.build()

    async def main():
        async with engine.stream(case.events) as run, trio.open_nursery() as nursery:
            if reads:

                @nursery.start_soon
                async def _():
                    async for _ in run:
                        pass

            await trio.sleep(when)
            begun = trio.current_time()
            started = dict(world.ledger.starts)
            await run.stop(grace)
            seconds = trio.current_time() - begun
            running = sum(world.ledger.started.values())
            await trio.sleep(100)
            new = set(world.ledger.starts) - set(started)
            nursery.cancel_scope.cancel()
        return seconds, running, new, begun

    seconds, running, new, begun = virtually(main)
    assert seconds <= grace
    assert running == 0
    assert all(world.ledger.starts[task] == begun for task in new)  # launched at the instant of the stop


async def test_the_consumer_may_stop_the_run_from_its_own_loop(autojump_clock):
    """`stop` inside the consumer's loop returns, and what was not read stays readable."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=4)], lookahead=8)

    outcomes = []
    async with engine.stream(map(se.Event, range(50))) as run:
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == 5:
                await run.stop(grace=0.5)
    report = run.report
    assert report.stopped == "the run was stopped"
    assert len(outcomes) == report.tasks == report.outcomes.total
    assert report.outcomes.cancelled > 0
    assert report.unread == 0


async def test_what_waits_and_what_is_parked_is_cancelled_at_once_and_what_runs_has_its_grace(autojump_clock):
    """A task in an hour's backoff and events that wait end at once; a task that runs may end by itself."""
    world = World(scripts={("0", "A"): [("retry", 3600)]}, default=[("sleep", 3)])
    engine = world.engine([world.platform("A", limit=2)], event_limit=2)

    begun = trio.current_time()
    async with engine.stream(map(se.Event, range(6))) as run:
        await trio.sleep(2)
        await run.stop(grace=10)
        seconds = trio.current_time() - begun
        outcomes = [outcome async for outcome in run]
    assert seconds == 3
    kinds = {outcome.event.id: type(outcome) for outcome in outcomes}
    assert kinds == {"0": se.Cancelled, "1": se.Success, "2": se.Success} | dict.fromkeys("345", se.Cancelled)


async def test_a_second_stop_can_shorten_the_grace(autojump_clock):
    """Stopped with an hour's grace, and again with none: it ends at once."""
    world = World(default=[("sleep", 100)])
    engine = world.engine([world.platform("A")])

    begun = trio.current_time()
    async with engine.stream(map(se.Event, range(3))) as run, trio.open_nursery() as nursery:
        await trio.sleep(1)
        nursery.start_soon(run.stop, 3600)
        await trio.sleep(1)
        await run.stop(0)
    seconds = trio.current_time() - begun
    report = run.report
    assert seconds == 2
    assert report.outcomes == se.Counts(cancelled=3)


async def test_a_scraper_that_shields_itself_is_logged_by_name(autojump_clock, caplog):
    """`stop` comes back within a second of the grace all the same; the end of the stream waits for it."""

    async def scrape(task):
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    with caplog.at_level(logging.WARNING, "scrapeengine"):
        begun = trio.current_time()
        async with se.Engine([se.Platform("stubborn", scrape)]).stream([se.Event("e")]) as run:
            await trio.sleep(1)
            await run.stop(grace=2)
            stopped = trio.current_time() - begun
        left = trio.current_time() - begun
        report = run.report
    assert 3 < stopped < 4
    assert left == 30
    assert report.tasks == report.outcomes.total == 1
    assert "shields itself" in caplog.text
    assert "stubborn" in caplog.text


async def test_a_thread_that_cannot_be_interrupted_is_logged_by_name(caplog):
    """A function in a worker thread does not hold up the end of the run; its name is logged."""
    release = threading.Event()

    def chew_on_it():
        release.wait(10)

    async def scrape(task):
        await task.in_thread(chew_on_it)

    with caplog.at_level(logging.WARNING, "scrapeengine"):
        with trio.fail_after(5):
            async with se.Engine([se.Platform("A", scrape)]).stream([se.Event("e")]) as run:
                while not run._session.threads.at_work():
                    await trio.lowlevel.checkpoint()
                await run.stop(grace=0)
                [outcome] = [outcome async for outcome in run]
    release.set()
    assert isinstance(outcome, se.Cancelled)
    assert "chew_on_it" in caplog.text


@pytest.mark.parametrize("how", ["end", "leave", "raise", "stop"])
async def test_nothing_is_left_behind_on_real_sockets(how):
    """With 200 requests in flight: no task, no socket, no file more than before, with the collector off."""

    async def answer(_):
        if how != "end":
            await trio.sleep(10)
        return Answer(body=b"{}")

    async def scrape(task):
        return (await task.http.get("/")).json()

    gc.collect()
    gc.disable()
    try:
        async with Site.open(answer) as site:
            await trio.testing.wait_all_tasks_blocked()
            tasks, files = trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))
            engine = se.Engine([se.Platform("A", scrape, limit=200, base_url=site.url)], event_limit=200)
            try:
                async with engine.stream(map(se.Event, range(200))) as run:
                    if how == "end":
                        assert len([outcome async for outcome in run]) == 200
                    else:
                        while site.ledger.in_flight < 200:
                            await trio.sleep(0.01)
                    if how == "stop":
                        begun = trio.current_time()
                        await run.stop(grace=0)
                        assert trio.current_time() - begun < 1
                    if how == "raise":
                        raise LookupError("mine")
            except LookupError as error:
                assert error.args == ("mine",)
            with trio.fail_after(5):
                while site.ledger.in_flight:
                    await trio.sleep(0.01)
                # The site's own ends of the connections close when it sees ours closed.
                while trio.lowlevel.current_statistics().tasks_living > tasks:
                    await trio.sleep(0.01)
            left = len(os.listdir("/proc/self/fd")) - files
        report = run.report
    finally:
        gc.enable()
    assert left <= 0
    assert report.tasks == report.outcomes.total == 200
