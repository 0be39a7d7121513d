"""Rates so fast that a turn has passed before the request that it was for is made: they hold nobody up for ever."""

import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site

PATIENCE = 20
FAST = [se.Rate(50_000), se.Rate(1_000_000), se.Rate(10**9), se.Rate(10**9, burst=3)]


async def echo(request):
    """Answer with the path."""
    return Answer(body=request.path.encode())


def make_engine(host, rate, limit=20):
    """Make an engine whose tasks make a request each."""

    async def scrape(task):
        return (await task.http.get(f"/{task.event.id}")).text

    return se.Engine([se.Platform("A", scrape, base_url=f"http://{host}", limit=limit, rate=rate)], event_limit=limit)


@pytest.mark.parametrize("rate", FAST, ids=str)
async def test_requests_are_made(rate):
    """Of those that wait for one another, one goes."""
    with trio.fail_after(PATIENCE):
        async with (
            Site.open(echo) as site,
            make_engine(site.host, rate).stream(se.Event(number) for number in range(300)) as run,
        ):
            found = [outcome.value async for outcome in run]
    assert sorted(found) == sorted(f"/{number}" for number in range(300))


@pytest.mark.parametrize(
    ("count", "rate"), [(100, se.Rate(1_000_000)), (1000, se.Rate(1_000_000, burst=1000))], ids=str
)
async def test_requests_of_a_shared_rate_are_made(tmp_path, count, rate):
    """The last one too, for which one time is reserved after the other; and of a thousand that wait together some."""
    values = []
    with trio.fail_after(PATIENCE):
        async with Site.open(echo) as site, se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
            engine = make_engine(site.host, rate, limit=count)
            await engine.enqueue(store, (se.Event(number) for number in range(count)))
            async with engine.serve(store) as run:
                while len(values) < count:
                    values.append((await anext(run)).value)
                await run.stop(0)
    assert sorted(values) == sorted(f"/{number}" for number in range(count))
