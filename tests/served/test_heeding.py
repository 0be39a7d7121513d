"""A site that states its limits, where several engines on one store ask it."""

import httpx
import pytest
import trio

import scrapeengine as se
from served.test_tuned_rates import Ours, serve
from support.stating import EPOCH, Windows


@pytest.mark.parametrize("rate", [None, se.Rate(50)])
async def test_two_engines_that_spread_what_remains_are_refused_nothing(autojump_clock, rate):
    """Each spreads it by itself, and hears from each answer what the other has used; nothing left closes for both."""
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
    assert not site.refused
    assert site.used(begin, 3) >= 0.95
