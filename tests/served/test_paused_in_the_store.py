"""Platforms that are paused in the store: no engine on it starts anything there, until somebody resumes them."""

import logging

import httpx
import pytest
import trio

import scrapeengine as se
from support.serving import pending

"""Seconds between two times at which an engine asks for its share."""


class CountingSite:
    """A site that knows when it was called."""

    def __init__(self):
        self.called = []

    async def answer(self, request):
        """Answer after a while."""
        assert request
        self.called.append(trio.current_time())
        await trio.sleep(0.01)
        return httpx.Response(200)

    def engine(self, names=("p",), limit=2):
        """Make an engine for it."""

        async def scrape(task):
            await task.http.get("http://p.test/")

        return se.Engine(
            [se.Platform(name, scrape, limit=limit) for name in names],
            connector=httpx.MockTransport(self.answer),
        )


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    """Name a store of each kind."""
    return f"sqlite:{tmp_path}/jobs.db" if request.param == "file" else "memory:"


async def drain(run):
    """Read outcomes until the run is stopped."""
    async for _ in run:
        pass


async def reaches(what):
    """Wait until something is true."""
    with trio.fail_after(20):
        while not what():
            await trio.sleep(0.005)


def _rests(run):
    """Say whether the platform is known to be paused, and nothing runs there any more."""
    statistics = run.statistics().platforms["p"]
    return (statistics.held_by, statistics.running) == ("pause", 0)


async def test_a_paused_platform_starts_nothing_and_goes_on_when_resumed(url):
    """Seen from the site; `explain` and the statistics say why. How soon is law 3's, where time is virtual."""
    site = CountingSite()
    engine = site.engine(["p", "q"])
    async with se.open_store(url) as store:
        await engine.enqueue(store, [se.Event(number, platforms=["p"]) for number in range(2000)])
        async with engine.serve(store) as run, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            await reaches(lambda: len(site.called) > 10)
            await store.pause("p")
            await reaches(lambda: _rests(run))
            count = len(site.called)
            await trio.sleep(0.5)
            assert len(site.called) == count
            why = "p: it is paused in the store, for all engines there; go on with store.resume('p'); 0 of 0 tasks"
            assert run.explain("p").startswith(why)
            assert why in run.explain()
            statistics = run.statistics().platforms["p"]
            assert (statistics.held_by, statistics.limit, statistics.running) == ("pause", 2, 0)
            assert 0.3 < statistics.held_for < 20
            assert (await store.stats())["p"].leased == 0  # what had not begun is given back
            await store.resume("p")
            await reaches(lambda: len(site.called) > count + 10)
            assert "paused" not in run.explain("p")
            nursery.cancel_scope.cancel()


async def test_a_pause_survives_those_who_have_made_it(tmp_path, caplog):
    """A run that comes later starts nothing, and ends where it is to end when nothing can be done."""
    caplog.set_level(logging.INFO)
    site, url = CountingSite(), f"sqlite:{tmp_path}/jobs.db"
    async with se.open_store(url) as store:
        await site.engine().enqueue(store, [se.Event(number) for number in range(5)])
        await store.pause("p")
    async with se.open_store(url) as store:
        async with site.engine().serve(store, until="idle") as run:
            await drain(run)
        assert site.called == []
        assert run.explain("p").startswith("p: it is paused in the store")
        assert pending(await store.stats()) == 5
        assert (await store.jobs())[0].attempts == 0
        await store.resume("p")
        async with site.engine().serve(store, until="idle") as run:
            await drain(run)
        assert len(site.called) == 5
    lines = [record.getMessage() for record in caplog.records if "paused" in record.getMessage()]
    assert len(lines) == 1
    assert "a platform is paused in the store; store.resume lets it go on" in lines[0]


async def test_who_waits_for_an_empty_store_is_told_that_it_never_will_be(url):
    """As with a limit of 0: what is left is of paused platforms alone."""
    site = CountingSite()
    async with se.open_store(url) as store:
        await site.engine().enqueue(store, [se.Event(1)])
        await store.pause("p")
        with pytest.raises(ValueError, match=r"1 jobs that are left are all on platforms that are paused, 'p'.*resume"):
            async with site.engine().serve(store, until="empty") as run:
                await drain(run)
        assert site.called == []


async def test_a_limit_of_0_and_a_pause_in_the_store_are_two_things(url):
    """Who ends the one has not ended the other."""
    site = CountingSite()
    engine = site.engine()
    async with se.open_store(url) as store:
        await engine.enqueue(store, [se.Event(number) for number in range(5)])
        engine.tune("p", limit=0)
        async with engine.serve(store) as run, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            await store.pause("p")
            engine.tune("p", limit=1)
            await reaches(lambda: "paused in the store" in run.explain("p"))
            assert site.called == []
            engine.tune("p", limit=0)
            await store.resume("p")
            await reaches(lambda: "paused in the store" not in run.explain("p"))
            assert run.statistics().platforms["p"].held_by == "pause"
            assert site.called == []
            engine.tune("p", limit=1)
            await reaches(lambda: len(site.called) == 5)
            nursery.cancel_scope.cancel()


async def test_that_a_platform_was_resumed_is_heard_where_no_work_waits_any_more(url):
    """Its jobs were called off meanwhile."""
    engine = CountingSite().engine()
    async with se.open_store(url) as store, trio.open_nursery() as nursery:
        await engine.enqueue(store, [se.Event(1)])
        await store.pause("p")
        run = await nursery.start(serve, engine, store)
        await reaches(lambda: "paused in the store" in run.explain())
        assert "paused in the store" in run.explain("p")
        await store.cancel("p", 1)
        await store.resume("p")
        await reaches(lambda: "paused" not in run.explain("p"))
        assert run.statistics().platforms["p"].held_by == "nothing"
        nursery.cancel_scope.cancel()


async def test_engines_do_not_wake_each_other_over_a_platform_that_is_paused(tmp_path):
    """Two that have nothing else to do ask the store a few times a second at most."""
    site, url, asked = CountingSite(), f"sqlite:{tmp_path}/jobs.db", []
    async with se.open_store(url) as first, se.open_store(url) as second, trio.open_nursery() as nursery:
        await site.engine().enqueue(first, [se.Event(number) for number in range(5)])
        await first.pause("p")
        for store in (first, second):
            share = store._store.share

            async def counted(*args, share=share):
                asked.append(args)
                return await share(*args)

            store._store.share = counted
            run = await nursery.start(serve, site.engine(), store)
        await reaches(lambda: "paused in the store" in run.explain("p"))
        await trio.sleep(0.5)
        before = len(asked)
        await trio.sleep(1)
        assert len(asked) - before <= 4
        assert "paused in the store" in run.explain("p")
        nursery.cancel_scope.cancel()


async def serve(engine, store, task_status):
    """Serve a store until cancelled."""
    async with engine.serve(store) as run:
        task_status.started(run)
        await drain(run)
