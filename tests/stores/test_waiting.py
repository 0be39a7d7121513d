"""How a store wakes who waits for it: to the instant in memory, and in a file when another process changes it."""

import math

import pytest
import trio
from trio.testing import MockClock

from scrapeengine import Engine, Event, Platform
from scrapeengine.stores import open_store
from stores.harness import claimed, job


def test_waiting_in_memory_ends_exactly_when_something_is_due():
    """In simulated time: at the instant of the next due time or lease end, or at its bound; never before."""

    async def main():
        async with open_store("memory:") as store:
            await store.enqueue([job("a", delay=7.3), job("b")])
            await store.wait(100)
            assert trio.current_time() == 0, "b is ready, and nobody has looked"
            await claimed(store, lease=2.1)
            for expected in (2.1, 7.3):
                await store.wait(100)
                assert trio.current_time() == pytest.approx(expected, abs=1e-6)
                assert await store.due() == ["p"]
                await claimed(store, lease=1000)
            await store.wait(1.7)
            assert trio.current_time() == pytest.approx(9, abs=1e-6)
            await store.wait(math.inf)
            assert trio.current_time() == pytest.approx(1002.1, abs=1e-6)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_waiting_heeds_what_comes_sooner_meanwhile():
    """Who waits already is woken by a delay, or a lease, that began later and ends before all others."""

    async def main():
        async with open_store("memory:") as store:
            await store.enqueue([job("a"), job("b", delay=100)])
            await store.due()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.wait, math.inf)
                await trio.sleep(1)
                await claimed(store, lease=50)
                await trio.sleep(1)
                await store.enqueue([job("c", delay=3)])
            assert trio.current_time() == pytest.approx(5, abs=1e-6)
            await store.due()
            await claimed(store, lease=2)
            await store.wait(math.inf)
            assert trio.current_time() == pytest.approx(7, abs=1e-6)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("ends", [True, False])
def test_who_waits_for_less_time_leaves_the_others_as_they_are(ends):
    """One that has waited for a moment, or waits still: what comes after that wakes who waits for longer."""

    async def main():
        async with open_store("memory:") as store:
            woken = []

            async def wait(at_most):
                await store.due()
                await store.wait(at_most)
                woken.append(trio.current_time())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, 1000)
                await trio.sleep(1)
                nursery.start_soon(wait, 0.5 if ends else 9)
                await trio.sleep(1)
                await store.enqueue([job("a", delay=30)])
            assert woken == pytest.approx([1.5 if ends else 10, 32], abs=1e-6)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_an_engine_starts_a_job_in_time_whoever_else_waits(autojump_clock):
    """With a long lease it looks seldom of itself."""
    ran = {}

    async def scrape(task):
        ran[task.event.id] = trio.current_time() - begun

    async with open_store("memory:") as store:
        begun, engine = trio.current_time(), Engine([Platform("A", scrape)])
        async with engine.serve(store, lease=600) as run:
            await trio.sleep(1)
            await store.wait(0.5)
            await trio.sleep(0.5)
            await engine.enqueue(store, [Event("x")], delay=30)
            async for _ in run:
                break
    assert ran == {"x": pytest.approx(32, abs=1e-3)}


def test_who_waits_leaves_nothing_behind():
    """Also where it is cancelled."""

    async def main():
        async with open_store("memory:") as store:
            await store.due()
            for seconds in (1, 3):
                with trio.move_on_after(2):
                    await store.wait(seconds)
            return len(store._store._notifier.waiting)

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == 0


def test_waiting_in_a_file_ends_when_another_process_changes_it(tmp_path):
    """What somebody else enqueues is noticed within a moment, whether or not it came before the wait began."""
    url = f"sqlite:{tmp_path}/jobs.db"

    async def main():
        async with open_store(url) as mine, open_store(url) as other:
            for before in (True, False):
                await mine.due()
                async with trio.open_nursery() as nursery:
                    if before:
                        await other.enqueue([job(f"{before}")])
                    nursery.start_soon(mine.wait, 30)
                    if not before:
                        await trio.sleep(0.01)
                        await other.enqueue([job(f"{before}")])
            assert trio.current_time() - start < 5
            assert len(await claimed(mine)) == 2

    async def timed():
        nonlocal start
        start = trio.current_time()
        await main()

    start = 0.0
    trio.run(timed)
