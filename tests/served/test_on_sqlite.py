"""Serving a store in a file, in real time: what survives, what is held meanwhile, and what is left behind."""

import os
import threading
import time

import apsw
import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.serving import serve_all

STEADY = se.Cadence(min_interval=0.05, max_interval=0.05, jitter=0)


@pytest.fixture
def file(tmp_path):
    """Name the file of a store."""
    return tmp_path / "jobs.db"


def within(seconds, main):
    """Run an async function in real time, in a trio run of its own: what is looked at is what that leaves."""

    async def limited():
        with trio.fail_after(seconds):
            return await main()

    return trio.run(limited)


def exclusive(file):
    """Take the file for oneself, for an instant."""
    db = apsw.Connection(str(file))
    try:
        db.set_busy_timeout(5000)
        db.execute("BEGIN EXCLUSIVE; COMMIT")
    finally:
        db.close()


async def test_nothing_is_held_over_network_io(file):
    """While each of thirty requests is on the wire, somebody else can have the whole file for himself."""
    had = []

    async def answer(_):
        # Nothing that waits for this answer can hold anything: it cannot end before we have had the file.
        await trio.to_thread.run_sync(exclusive, file)
        had.append(trio.current_time())
        return Answer(200)

    async with Site.open(answer) as site, se.open_store(f"sqlite:{file}") as store:

        async def scrape(task):
            await task.http.get(f"/{task.event.id}", conditional=True)

        engine = se.Engine([se.Platform("A", scrape, base_url=site.url, limit=3)])
        await engine.enqueue(store, [se.Event(n) for n in range(30)])
        outcomes, _ = await serve_all(engine, store, count=30)
    assert {type(outcome) for outcome in outcomes} == {se.Success}
    assert len(had) == 30


def test_all_of_it_survives_a_restart(file):
    """Jobs, results, positions, validators and cadences are there when the file is opened again."""
    asked = []

    async def answer(request):
        asked.append(request.headers.get("if-none-match"))
        return httpx.Response(200, headers={"etag": '"1"'}, text="page")

    async def scrape(task):
        response = await task.http.get("http://a.test/x", conditional=True)
        return response.text

    def engine():
        platform = se.Platform("A", scrape, transport=httpx.MockTransport(answer))
        return se.Engine([platform, se.Platform("B", scrape, limit=0)])

    async def before():
        async with se.open_store(f"sqlite:{file}") as store:
            await engine().enqueue(store, [se.Event("feed", platforms=("A",))], cadence=STEADY)
            await engine().enqueue(store, [se.Event(n, platforms=("B",), priority=n) for n in range(10)])
            await engine().poll(store)

    async def after():
        async with se.open_store(f"sqlite:{file}") as store:
            feed = await store.get("A", "feed")
            positions = [await store.position("B", str(n)) for n in range(10)]
            await trio.sleep(0.1)
            report = await engine().poll(store)
            return feed, positions, report

    within(30, before)
    feed, positions, report = within(30, after)
    assert (feed.status, feed.result, feed.recurs) == (se.JobStatus.DELAYED, '"page"', True)
    assert positions == list(range(9, -1, -1))
    assert report.outcomes.succeeded == 1
    assert asked == [None, '"1"']


def test_a_run_leaves_nothing_behind(file):
    """No thread, no open file, no lease."""

    async def scrape(task):
        await trio.sleep(0.001)

    async def main():
        engine = se.Engine([se.Platform("A", scrape)])
        async with se.open_store(f"sqlite:{file}") as store:
            await engine.enqueue(store, [se.Event(n) for n in range(200)])
            async with engine.serve(store) as run:
                for _ in range(50):
                    await anext(run)
                await run.stop(0)
            stats = (await store.stats())["A"]
            assert stats.leased == 0
            assert stats.done + stats.ready == 200

    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    within(60, main)
    until = time.monotonic() + 15
    while (len(os.listdir("/proc/self/fd")), threading.active_count()) > before:
        assert time.monotonic() < until, threading.enumerate()  # trio's own idle threads go after ten seconds
        time.sleep(0.05)


async def test_cancelled_at_any_moment_it_leaves_no_lease(file):
    """A run that is cancelled after some milliseconds gives all back; in the end each job has been done once."""
    done = []

    async def scrape(task):
        await trio.sleep(0.002)
        return task.event.id

    engine = se.Engine([se.Platform("A", scrape, limit=4)])
    async with se.open_store(f"sqlite:{file}", durability="normal") as store:
        await engine.enqueue(store, [se.Event(n) for n in range(300)])
        for n in range(60):
            with trio.move_on_after(n / 1000):
                async with engine.serve(store, lease=600) as run:
                    async for outcome in run:
                        done.append(outcome.value)
            assert (await store.stats())["A"].leased == 0
        await serve_all(engine, store)
        assert (await store.stats())["A"].done == 300
    assert len(done) == len(set(done))
