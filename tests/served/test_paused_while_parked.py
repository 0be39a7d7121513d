"""Pauses that find a run at work: what is parked there does not keep it from its end, and rounds hear of them."""

import httpx
import pytest
import trio

import scrapeengine as se
from support.serving import pending


async def rerun(task):
    """Run twice: the second time, a while later."""
    if task.attempt == 1:
        task.retry(after=50)
    return task.attempt


async def rerun_late(task):
    """Run for a while first, so that a pause comes before it is parked."""
    if task.attempt == 1:
        await trio.sleep(20)
    return await rerun(task)


async def two_pages(task):
    """Ask twice, and so wait for the rate in between."""
    await task.http.get("http://a.test/1")
    await task.http.get("http://a.test/2")
    return 2


async def work(_):
    """Take a second."""
    await trio.sleep(1)
    return 1


def engine(scrape=rerun, **options):
    """Make an engine of a platform A that is to be paused, and B."""
    options = {"rate": se.Rate(1, per=60), "transport": httpx.MockTransport(lambda _: httpx.Response(200))} | options
    return se.Engine([se.Platform("A", scrape, **options), se.Platform("B", work, limit=1)])


async def pause(engine, store, how, seconds=10):
    """Pause A after some seconds."""
    await trio.sleep(seconds)
    if how == "store":
        await store.pause("A")
    else:
        engine.tune("A", limit=0)


async def go_on(engine, store):
    """Let A go on, whoever has paused it."""
    await store.resume("A")
    engine.tune("A", limit=2)


async def to_its_end(engine, store, until):
    """Make a round, or a run that ends by itself."""
    with trio.fail_after(200):
        if until == "round":
            return await engine.poll(store)
        async with engine.serve(store, until=until) as run:
            return await run.wait()


@pytest.mark.parametrize("how", ["store", "limit"])
@pytest.mark.parametrize("scrape", [rerun, rerun_late, two_pages])
@pytest.mark.parametrize("until", ["idle", "round"])
async def test_what_is_parked_on_a_paused_platform_is_given_back_and_the_run_ends(
    autojump_clock, store, until, scrape, how
):
    """Whether it was parked before or after, for a while or for its turn. It has lost nothing by that."""
    both = engine(scrape)
    await both.enqueue(store, [se.Event("a", platforms=["A"])])
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause, both, store, how)
        report = await to_its_end(both, store, until)
    assert trio.current_time() - begun < 21
    assert (report.outcomes.total, report.stopped) == (0, None)
    assert (await store.stats())["A"].ready == 1
    assert (await store.jobs())[0].attempts == 0
    await go_on(both, store)
    assert (await to_its_end(both, store, until)).outcomes.succeeded == 1


@pytest.mark.parametrize("how", ["store", "limit"])
async def test_who_waits_for_an_empty_store_is_told_that_what_was_parked_is_paused(autojump_clock, store, how):
    """Once all else is done."""
    both = engine()
    await both.enqueue(store, [se.Event("a", platforms=["A"])])
    await both.enqueue(store, [se.Event("b", platforms=["B"])], delay=100)
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause, both, store, how)
        with pytest.raises(ValueError, match="the 1 jobs that are left are all on platforms that are paused, 'A'"):
            await to_its_end(both, store, "empty")
    assert 101 <= trio.current_time() - begun < 103
    assert (await store.stats())["B"].done == 1


@pytest.mark.parametrize("until", ["idle", None])
async def test_a_limit_of_0_that_comes_back_meanwhile_costs_parked_tasks_nothing(autojump_clock, store, until):
    """A run that has no end keeps them, and so does one that has other things to do."""
    both = engine()
    await both.enqueue(store, [se.Event("a", platforms=["A"])])
    await both.enqueue(store, [se.Event(n, platforms=["B"]) for n in range(90)])
    async with both.serve(store, until=until) as run, trio.open_nursery() as nursery:
        nursery.start_soon(pause, both, store, "limit")
        async for outcome in run:
            if outcome.event.id == "9":
                assert run.statistics().platforms["A"].parked == 1
                both.tune("A", limit=1)
            if outcome.platform == "A":
                assert (outcome.value, outcome.attempts) == (2, 2)
                break
    assert run.report.returned <= 3  # of B, which was left


async def test_what_is_claimed_while_its_limit_becomes_0_is_given_back(autojump_clock, store):
    """It was asked for before."""
    both, claim = engine(), store.store.claim
    await both.enqueue(store, [se.Event("a", platforms=["A"])])

    async def slow(*args, **options):
        both.tune("A", limit=0)
        return await claim(*args, **options)

    store.store.claim = slow
    await to_its_end(both, store, "idle")
    assert (await store.stats())["A"].ready == 1


@pytest.mark.parametrize("what", ["pause", "close"])
async def test_a_round_hears_what_is_paused_or_closed_while_it_works(autojump_clock, store, what):
    """Within a quarter of a second, and goes on where that ends before the round does."""
    both = engine(work, limit=1, rate=None)
    await both.enqueue(store, [se.Event(n) for n in range(90)])
    begun, ends = trio.current_time(), []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def close_for_a_while():
            await trio.sleep(9.5)
            await (store.pause("A") if what == "pause" else store.close("A", 1000))
            await trio.sleep(50)
            await (store.resume("A") if what == "pause" else store.reopen("A"))

        async def note(batch):
            ends.extend(trio.current_time() - begun for outcome in batch if outcome.platform == "A")

        with trio.fail_after(500):
            report = await both.poll(store, sinks=[note])
    assert report.outcomes.succeeded == 180
    assert not [end for end in ends if 10.5 < end < 59.5]
    assert 139 < max(ends) < 142
    assert not pending(await store.stats())


@pytest.mark.parametrize("until", ["idle", "empty"])
async def test_what_is_parked_does_not_keep_a_run_on_a_file_from_its_end(tmp_path, until):
    """There a run hears of the pause where it asks for its share; in real time, for a file is."""

    async def soon(task):
        if task.attempt == 1:
            task.retry(after=0.5)

    both = engine(soon)
    async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
        await both.enqueue(store, [se.Event("a", platforms=["A"])])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pause, both, store, "store", 0.1)
            if until == "idle":
                assert (await to_its_end(both, store, until)).outcomes.total == 0
            else:
                with pytest.raises(ValueError, match="paused, 'A'"):
                    await to_its_end(both, store, until)
        assert [(each.status, each.attempts) for each in await store.jobs()] == [(se.JobStatus.READY, 0)]
