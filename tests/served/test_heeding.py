"""A site that states its limits, where several engines on one store ask it."""

import httpx
import pytest
import trio

import scrapeengine as se
from served.test_tuned_rates import Ours, serve
from support.stating import EPOCH, Windows


@pytest.mark.parametrize("rate", [None, se.Rate(50)])
async def test_two_engines_that_spread_what_remains_are_refused_next_to_nothing(autojump_clock, rate):
    """Each spreads it by itself, and hears from each answer what the other has used; that nothing is left hears one."""
    site = Windows("RateLimit")

    async def scrape(task):
        await task.http.get(f"http://a.test/{task.event.id}")

    def engine():
        platform = se.Platform("A", scrape, transport=httpx.MockTransport(site.answer), rate=rate)
        return se.Engine([platform], wall_time=lambda: EPOCH + trio.current_time(), event_limit=100)

    begin = (trio.current_time() // 10 + 1) * 10
    async with se.open_store("memory:") as memory, trio.open_nursery() as nursery:
        await engine().enqueue(memory, [se.Event(number) for number in range(1000)])
        store = Ours(memory)
        for _ in range(2):
            nursery.start_soon(serve, engine(), store)
        await trio.sleep(begin + 30 - trio.current_time())
        nursery.cancel_scope.cancel()
    assert site.refused <= 0.01 * len(site.served)
    assert site.used(begin, 3) >= 0.95


@pytest.mark.parametrize("until", ["idle", "poll"])
async def test_a_reset_is_waited_for_before_a_run_ends_for_want_of_work(autojump_clock, until):
    """As a rate is: until="idle" and a poll end when nothing is due, and what waits for a reset is due."""
    asked = []

    def answer(_):
        asked.append(trio.current_time())
        left = 4 - (len(asked) - 1) % 5
        return httpx.Response(200, headers={"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": "5"})

    async def scrape(task):
        await task.http.get("/")

    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer), limit=1)
    engine = se.Engine([platform])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(number) for number in range(12)], cadence=se.Cadence(3600))
        if until == "poll":
            report = await engine.poll(store)
        else:
            async with engine.serve(store, until="idle") as run:
                await run.wait()
            report = run.report
    assert len(asked) == 12
    assert report.returned == 0
