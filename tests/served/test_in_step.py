"""Under a simulated clock a store in a file takes as long as one in memory: no time passes while its thread works."""

import threading

import pytest
import trio
from trio.testing import MockClock

import scrapeengine as se
from scrapeengine.standstill import Standstill


def took(url, count=60):
    """Serve jobs of a second each from a store, four at a time, until all have ended; return the virtual seconds."""

    async def nap(task):
        await trio.sleep(1)

    async def main():
        async with se.open_store(url) as store:
            engine = se.Engine([se.Platform("A", nap, limit=4)])
            await engine.enqueue(store, [se.Event(number) for number in range(count)])
            begun = trio.current_time()
            async with engine.serve(store) as run:
                for _ in range(count):
                    assert isinstance(await anext(run), se.Success)
            return trio.current_time() - begun

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_file_takes_as_long_as_memory(tmp_path):
    """All but the instants for which an engine holds still between two looks at a shared file."""
    assert took("memory:") == pytest.approx(15)
    assert took(f"sqlite:{tmp_path / 'jobs.db'}") == pytest.approx(15, abs=0.1)


def test_opening_and_closing_take_no_time(tmp_path):
    """Both are done by a thread."""

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1000)  # what a clock that jumps would jump to
            for _ in range(20):
                async with se.open_store(f"sqlite:{tmp_path / 'jobs.db'}") as store:
                    await store.lock("A", "me", 30)
            assert trio.current_time() == 0
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_while_a_thread_is_waited_for_the_clock_stands_still():
    """And goes on after that; whoever waits until all tasks are blocked is not kept."""

    async def main():
        order = []

        async def block():
            with Standstill():
                await trio.to_thread.run_sync(release.wait)
                order.append(("thread", trio.current_time()))

        async def sleep():
            await trio.sleep(7)
            order.append(("sleeper", trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(block)
            nursery.start_soon(sleep)
            await trio.testing.wait_all_tasks_blocked(0.05)
            release.set()
        assert order == [("thread", 0), ("sleeper", 7)]

    release = threading.Event()
    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_clock_that_does_not_jump_is_left_alone():
    """Nothing is started for it."""

    async def main():
        before = trio.lowlevel.current_statistics().tasks_living
        with Standstill():
            assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main)
    trio.run(main, clock=MockClock())
