"""Penalties that programs make and end, here and in other engines on the store; and those that a site has made long."""

import httpx
import pytest
import trio

import scrapeengine as se
from support.serving import pending

YEAR = 365 * 86_400


class Site:
    """A site that refuses once, or as often as it is told to; it knows when it was called."""

    def __init__(self, refusals=0):
        self.refusals = refusals
        self.called = []

    async def answer(self, request):
        """Answer, or ask not to be called for a year."""
        assert request
        self.called.append(trio.current_time())
        if self.refusals:
            self.refusals -= 1
            return httpx.Response(429, headers={"Retry-After": str(YEAR)})
        return httpx.Response(200)

    def engine(self, limit=2, **platform):
        """Make an engine for it."""

        async def scrape(task):
            await task.http.get("/")

        return se.Engine(
            [se.Platform("p", scrape, base_url="http://p.test", limit=limit, **platform)],
            connector=httpx.MockTransport(self.answer),
        )


@pytest.fixture
def file(tmp_path):
    """Name a store that engines share."""
    return f"sqlite:{tmp_path}/jobs.db"


async def all_done(store):
    """Wait until nothing is pending."""
    while pending(await store.stats()):
        await trio.sleep(0.02)


async def drain(run):
    """Read outcomes until the run is stopped."""
    async for _ in run:
        pass


async def test_a_penalty_of_a_year_is_said_once_and_in_the_report(autojump_clock, caplog):
    """One line for many refusals, with the end of it; statistics and report name the platform."""
    site = Site(refusals=3)
    engine = site.engine(limit=3, retry=se.Retry(attempts=1))
    async with engine.stream([se.Event(number) for number in range(9)]) as run:
        outcomes = [outcome async for outcome in run]
        statistics = run.statistics()
    assert [type(outcome) for outcome in outcomes] == [se.Failure] * 9
    assert len(site.called) <= 3
    assert run.report.closed == {"p": pytest.approx(YEAR)}
    assert statistics.closed == {"p": pytest.approx(YEAR)}
    (line,) = [record.getMessage() for record in caplog.records if "closed for long" in record.getMessage()]
    assert "platform='p'" in line
    assert f"seconds={YEAR}" in line


async def test_a_short_penalty_is_no_news(autojump_clock, caplog):
    """What is waited for is in no report."""
    async with Site().engine().stream([se.Event(1)]) as run:
        await drain(run)
    assert run.report.closed == {}
    assert not caplog.records


async def test_a_plain_run_goes_on_where_the_program_says_so(autojump_clock):
    """Closed by hand nothing starts, reopened all does; the site's own penalty ends with it."""
    site = Site()
    engine = site.engine()
    begun = trio.current_time()
    async with engine.stream([se.Event(number) for number in range(4)]) as run, trio.open_nursery() as nursery:
        engine.close("p", 50)
        engine.close("p", 20)
        nursery.start_soon(drain, run)
        await trio.sleep(30)
        assert site.called == []
        engine.reopen("p")
        await trio.sleep(1)
        assert [at - begun for at in site.called] == [30] * 4


async def test_what_is_said_between_runs_holds_in_the_next(autojump_clock):
    """A penalty of an earlier run is over, and one that was made by hand is there."""
    site = Site(refusals=1)
    engine = site.engine(retry=se.Retry(attempts=1))
    report = await engine.run([se.Event(1)])
    assert report.outcomes.failed == 1
    assert (await engine.run([se.Event(1)])).closed == {"p": pytest.approx(YEAR)}
    engine.reopen("p")
    assert (await engine.run([se.Event(1)])).outcomes.succeeded == 1
    engine.close("p", 40)
    begun = trio.current_time()
    assert (await engine.run([se.Event(1)])).outcomes.succeeded == 1
    assert trio.current_time() - begun == pytest.approx(40, abs=1)


async def test_a_host_is_closed_by_its_name(autojump_clock):
    """As `host_of` gives it, however it is written, also where it has no work."""
    site = Site()

    async def scrape(task):
        await task.http.get(task.event.url)

    engine = se.Engine([], default=se.Platform("*", scrape), connector=httpx.MockTransport(site.answer))
    url = "http://Shop.Test:9121/a"
    assert se.host_of(url) == "shop.test:9121"
    async with engine.stream([se.Event(url="http://other.test/")]) as run:
        engine.close("SHOP.test:9121", 1000)
        await drain(run)
        assert run.statistics().closed == {"shop.test:9121": 1000}
    (outcome,) = [outcome async for outcome in _outcomes(engine, [se.Event(url=url)])]
    assert isinstance(outcome.error, se.PlatformClosed)
    engine.reopen(se.host_of(url))
    (outcome,) = [outcome async for outcome in _outcomes(engine, [se.Event(url=url)])]
    assert isinstance(outcome, se.Success)


async def _outcomes(engine, events):
    async with engine.stream(events) as run:
        async for outcome in run:
            yield outcome


def test_what_there_is_not_is_refused():
    """A name that no platform has, and seconds that are none."""
    engine = Site().engine()
    for call in (lambda: engine.close("q", 5), lambda: engine.reopen("q")):
        with pytest.raises(se.UnknownPlatform, match="the engine has 'p'"):
            call()
    with pytest.raises(ValueError, match="seconds"):
        engine.close("p", 0)


@pytest.mark.parametrize("by", ["engine", "store"])
async def test_a_run_in_memory_goes_on_once_its_platform_is_reopened(autojump_clock, store, by):
    """What was given back for a year is ready again, and done."""
    site = Site(refusals=1)
    engine = site.engine(retry=se.Retry(attempts=1))
    await engine.enqueue(store, [se.Event(number) for number in range(9)])
    async with engine.serve(store) as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        await trio.sleep(1000)
        assert len(site.called) <= 2
        if by == "engine":
            engine.reopen("p")
        else:
            await store.reopen("p")
        with trio.fail_after(5):
            await all_done(store)
        await run.stop(0)
    assert run.report.closed == {"p": pytest.approx(YEAR)}
    assert (await store.stats())["p"].done >= 7, "at most two had begun when it closed"


async def test_a_platform_that_was_closed_in_memory_is_not_called(autojump_clock, store):
    """A run that begins hears of it before it claims anything, and waits for its end."""
    site = Site()
    engine = site.engine()
    await store.close("p", 60)
    await engine.enqueue(store, [se.Event(1)])
    begun = trio.current_time()
    async with engine.serve(store) as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        await all_done(store)
        await run.stop(0)
    assert [at - begun for at in site.called] == [pytest.approx(60)]


@pytest.mark.parametrize("by", ["engine", "other engine", "store", "other store"])
async def test_all_engines_on_a_file_hear_of_it_within_half_a_second(file, by):
    """Whoever reopens a platform that a site has closed for a year: both go on, and nobody closes it again."""
    site = Site(refusals=1)
    first, second = (site.engine(retry=se.Retry(attempts=1), rate=se.Rate(20)) for _ in range(2))
    async with se.open_store(file) as store, se.open_store(file) as other:
        await first.enqueue(store, [se.Event(number) for number in range(30)])
        async with first.serve(store) as run, second.serve(other) as beside, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            nursery.start_soon(drain, beside)
            await trio.sleep(1)
            called = len(site.called)
            assert called < 15
            match by:
                case "engine":
                    first.reopen("p")
                case "other engine":
                    second.reopen("p")
                case "store":
                    await store.reopen("p")
                case _:
                    await other.reopen("p")
            with trio.fail_after(3):
                while len(site.called) == called:
                    await trio.sleep(0.01)
                await all_done(store)
            await run.stop(0)
            await beside.stop(0)
        assert (await store.stats())["p"].done >= 26, "at most four had begun when it closed"


@pytest.mark.parametrize("by", ["engine", "store"])
async def test_all_engines_on_a_file_hear_that_a_platform_is_closed(file, by):
    """Half a second later none of them calls it, until it is open."""
    site = Site()
    first, second = (site.engine(rate=se.Rate(20)) for _ in range(2))
    async with se.open_store(file) as store, se.open_store(file) as other:
        await first.enqueue(store, [se.Event(number) for number in range(60)])
        async with first.serve(store) as run, second.serve(other) as beside, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            nursery.start_soon(drain, beside)
            await trio.sleep(0.5)
            closed = trio.current_time()
            if by == "engine":
                first.close("p", 2)
            else:
                await store.close("p", 2)
            await trio.sleep(0.75)
            called = len(site.called)
            assert 0 < called < 60
            with trio.fail_after(10):
                await all_done(store)
            assert min(at for at in site.called[called:]) >= closed + 2
            await run.stop(0)
            await beside.stop(0)


async def test_a_penalty_outlives_its_process_and_is_said_again(file, caplog):
    """A program that comes later hears of it from the file, says so, and goes on when the file is told."""
    site = Site(refusals=1)
    async with se.open_store(file) as store:
        engine = site.engine(retry=se.Retry(attempts=1))
        await engine.enqueue(store, [se.Event(number) for number in range(4)])
        async with engine.serve(store) as run:
            async for _ in run:
                break
            await trio.sleep(0.5)
            await run.stop(0)
    caplog.clear()
    async with se.open_store(file) as store:
        later = site.engine()
        async with later.serve(store) as run, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            await trio.sleep(1)
            assert len(site.called) <= 2
            assert run.report.closed == {"p": pytest.approx(YEAR, abs=100)}
            await store.reopen("p")
            with trio.fail_after(3):
                await all_done(store)
            await run.stop(0)
    assert len([record for record in caplog.records if "closed for long" in record.getMessage()]) == 1
