"""How a store wakes who waits for it, in memory and in a file alike."""

import math
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from scrapeengine.model.job import Reply
from scrapeengine.stores import open_store
from stores.harness import claimed, done, job, run

OK, ALREADY, LOST = Reply


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


@pytest.mark.parametrize("change", ["enqueue", "release", "hasten", "follow"])
def test_waiting_ends_when_a_call_makes_something_ready(url, change):
    """Whoever waits is woken by what is enqueued, released, hastened or found, and by nothing else."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b", delay=100, cadence="c")])
        (a,) = await claimed(store, lease=100)
        woken = trio.Event()

        async def wait():
            await store.due()
            await store.wait(math.inf)
            woken.set()

        changes = {
            "enqueue": partial(store.enqueue, [job("x")]),
            "release": partial(store.release, [a]),
            "hasten": store.hasten,
            "follow": partial(store.complete, [done(a, follow_ups=(job("y"),))]),
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for _ in range(5):
                await store.renew([a], 100)
                await store.enqueue([job("c", delay=200)])
            assert not woken.is_set()
            await changes[change]()
            await woken.wait()

    run(url, scenario)


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
