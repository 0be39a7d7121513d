"""What need not be asked for again before its time: 30 dates are probed, and 28 of them have nothing yet."""

import httpx
import trio

import scrapeengine as se
from support.serving import serve_all

DAY = 86_400
PUBLISHED = {3, 17}


async def no_answer(request):
    """No scraper here makes a request."""
    raise AssertionError(request)


def probing(probed):
    """Make an engine that probes dates."""

    async def scrape(task):
        probed.append(int(task.event.id))
        await trio.sleep(0.5)
        if int(task.event.id) not in PUBLISHED:
            task.skip("nothing there", again_after=DAY)
        return "a race"

    platform = se.Platform("races", scrape, limit=30, transport=httpx.MockTransport(no_answer))
    return se.Engine([platform], event_limit=30)


async def run(engine, dates=range(30)):
    """Run the dates; return their outcomes."""
    async with engine.stream([se.Event(date) for date in dates]) as stream:
        return [outcome async for outcome in stream]


async def test_an_engine_does_not_probe_again_before_the_time(autojump_clock):
    """In later runs they are skipped at once, for the reason that was given; after a day they are probed again."""
    probed = []

    engine = probing(probed)
    begun = trio.current_time()
    await run(engine)
    assert trio.current_time() - begun == 0.5
    assert sorted(probed) == list(range(30))
    probed.clear()
    await trio.sleep(DAY / 2)
    outcomes = await run(engine)
    assert sorted(probed) == sorted(PUBLISHED)
    skipped = [outcome for outcome in outcomes if isinstance(outcome, se.Skipped)]
    assert len(skipped) == 28
    assert {(outcome.reason, outcome.attempts) for outcome in skipped} == {("nothing there", 0)}
    assert all(0 < outcome.again_after <= DAY / 2 for outcome in skipped)
    probed.clear()
    await trio.sleep(DAY / 2 - 0.75)
    await run(engine)
    assert sorted(probed) == sorted(PUBLISHED)
    await trio.sleep(0.5)
    probed.clear()
    await run(engine)
    assert sorted(probed) == list(range(30))


async def test_in_the_same_run_too(autojump_clock):
    """A date that is found once more in the run that has probed it is skipped as well."""
    probed = []

    engine = probing(probed)

    async def dates():
        yield se.Event(1)
        await trio.sleep(10)
        yield se.Event(1)

    async with engine.stream(dates()) as stream:
        found = [type(outcome).__name__ async for outcome in stream]
    assert found == ["Skipped", "Skipped"]
    assert probed == [1]


async def test_each_platform_by_itself(autojump_clock):
    """What one platform does not have is asked for on the others."""
    asked = []

    async def scrape(task):
        asked.append(task.platform)
        if task.platform == "A":
            task.skip("nothing there", again_after=60)

    engine = se.Engine([se.Platform(name, scrape) for name in "AB"])
    await run(engine, [1])
    assert sorted((outcome.platform, type(outcome).__name__) for outcome in await run(engine, [1])) == [
        ("A", "Skipped"),
        ("B", "Success"),
    ]
    assert sorted(asked) == ["A", "B", "B"]


async def test_a_store_keeps_it_for_all_runs(autojump_clock):
    """Within the day an id gives its state back, though the store forgets what has ended after an hour."""
    probed = []

    async with se.open_store("memory:", keep=3600.0) as store:
        await probing(probed).enqueue(store, [se.Event(date) for date in range(30)])
        await serve_all(probing(probed), store, count=30)
        probed.clear()
        await trio.sleep(DAY / 2)
        known = await probing(probed).enqueue(store, [se.Event(date) for date in range(30)])
        assert {each.job.id for each in known if each.new} == {str(date) for date in PUBLISHED}
        assert {each.job.error for each in known if not each.new} == {"nothing there"}
        await serve_all(probing(probed), store)
        found = sorted(probed)
    assert found == sorted(PUBLISHED)
