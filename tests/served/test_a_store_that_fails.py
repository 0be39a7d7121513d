"""While a store fails the log stays readable, and the store is left alone for longer and longer."""

import logging
from collections import Counter
from itertools import pairwise

import httpx
import pytest
import trio

import scrapeengine as se
from support.serving import Flaky, serve_all

SECONDS = 30
CALLS = ["due", "claim", "renew", "complete", "release", "undelivered", "acknowledge", "share", "lock", "wait"]


class Shared(Flaky):
    """One that engines share."""

    shared = True


def lines(caplog):
    """List the lines of the engine with their times, by the run's clock as they were written."""
    return [record for record in caplog.records if record.name == "scrapeengine"]


async def take(outcomes):
    """Take outcomes."""


@pytest.mark.parametrize("down", [CALLS, ["claim"], ["share"], ["complete"], ["due"], ["undelivered"], ["wait"]])
async def test_one_line_a_second_and_no_traceback_twice(autojump_clock, caplog, down):
    """Whatever fails, and however many platforms have work there; and all goes on once the store is back."""
    times = []
    caplog.set_level(logging.INFO, "scrapeengine")
    caplog.handler.addFilter(lambda _: times.append(trio.current_time()) or True)
    done = Counter()

    async def scrape(task):
        await trio.sleep(0.5)
        done[task.platform] += 1

    names = [f"p{number}" for number in range(12)]
    engine = se.Engine([se.Platform(name, scrape, limit=3) for name in names], event_limit=100)
    async with se.open_store("memory:") as memory:
        store = Shared(memory)
        await engine.enqueue(store, [se.Event(n) for n in range(40)])
        async with engine.serve(store, sinks=[take], lease=3) as run, trio.open_nursery() as nursery:

            async def read():
                async for _ in run:
                    pass

            nursery.start_soon(read)
            await trio.sleep(2.2)
            store.down.update(down)
            store.calls.clear()
            await trio.sleep(SECONDS)
            asked = Counter(store.calls)
            found = list(lines(caplog))
            store.down.clear()
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
    assert len(found) <= SECONDS + 1
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))
    assert sum("Traceback" in record.getMessage() for record in found) <= 1
    # Each kind of call: 0.1, 0.2, 0.4, … up to five seconds apart (a second for slots), for each platform.
    if "claim" in down:
        assert asked["claim"] <= 12 * 14
    for name in set(down) - {"claim", "renew", "share"}:
        assert asked[name] <= 3 * 14
    if "share" in down:
        assert asked["share"] <= SECONDS + 6
    assert min(done.values()) >= 40  # what could not be completed in time is run again


async def test_validators_that_cannot_be_recalled_are_one_line_a_second(autojump_clock, caplog):
    """However many requests ask for them: each asks the site for all of its page then."""
    asked = Counter()

    async def answer(request):
        asked[request.headers.get("If-None-Match")] += 1
        await trio.sleep(0.1)
        return httpx.Response(200, headers={"ETag": '"1"'}, text="page")

    async def scrape(task):
        await task.http.get("http://feeds.example/", conditional=True)

    platform = se.Platform("A", scrape, limit=10, transport=httpx.MockTransport(answer))
    async with se.open_store("memory:") as memory:
        store = Flaky(memory, {"recall"})
        engine = se.Engine([platform])
        await engine.enqueue(store, [se.Event(n) for n in range(1000)])
        outcomes, _ = await serve_all(engine, store)
        store.down.clear()
        await engine.enqueue(store, [se.Event("later")])
        await serve_all(engine, store)
    assert {type(outcome) for outcome in outcomes} == {se.Success}
    assert asked == {None: 1000, '"1"': 1}
    assert 5 <= len(lines(caplog)) <= 12
    assert sum("Traceback" in record.getMessage() for record in lines(caplog)) == 1


async def test_rounds_that_cannot_be_made_say_so_once_a_second(autojump_clock, caplog):
    """However often one is due."""

    async def scrape(task):
        await trio.sleep(0.5)

    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as memory:
        store = Flaky(memory)
        store.down.add("lock")
        with trio.move_on_after(10):
            async for _ in engine.rounds(store, every=0.05):
                pass
    assert 5 <= len(lines(caplog)) <= 11
    assert sum("Traceback" in record.getMessage() for record in lines(caplog)) == 1
