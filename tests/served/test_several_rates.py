"""Several rates and costs hold for all engines on one store together, and are used."""

import httpx
import pytest
import trio

import scrapeengine as se
from served.test_tuned_rates import Ours, serve
from support.ledger import rate_broken


class Site:
    """What a platform sees."""

    def __init__(self):
        self.asked = []
        self.costs = []

    async def answer(self, request):
        """Write down when it was asked, and for how much."""
        self.asked.append(trio.current_time())
        self.costs.append(int(request.url.params["cost"]))
        await trio.sleep(0.1)
        return httpx.Response(200)

    def engine(self, rates, costs):
        """Make an engine whose tasks make one request each, of these costs in turn."""

        async def scrape(task):
            cost = costs[int(task.event.id) % len(costs)]
            await task.http.get("http://a.test/", params={"cost": cost}, cost=cost)

        platform = se.Platform("A", scrape, limit=50, rate=rates, transport=httpx.MockTransport(self.answer))
        return se.Engine([platform], event_limit=100)


@pytest.fixture
async def store():
    """Open a store with jobs."""
    async with se.open_store("memory:") as memory:
        await Site().engine([], [1]).enqueue(memory, [se.Event(n) for n in range(3000)])
        yield Ours(memory)


@pytest.mark.parametrize("engines", [1, 3])
@pytest.mark.parametrize("costs", [[1], [4], [1, 1, 6, 2]])
async def test_all_engines_together_keep_to_each_rate(store, autojump_clock, engines, costs):
    """In any window, but for what may be late; and of the slower one nearly all is used, where all cost the same."""
    rates, seconds = [se.Rate(40), se.Rate(60, per=3, burst=30)], 30
    site = Site()
    async with trio.open_nursery() as nursery:
        for _ in range(engines):
            nursery.start_soon(serve, site.engine(rates, costs), store)
        await trio.sleep(seconds)
        nursery.cancel_scope.cancel()
    for rate in rates:
        late = 0.025 * rate.count / rate.per  # seconds for which a reserved time of the faster rate may be used
        assert not rate_broken(site.asked, rate, slack=late, costs=site.costs)
    # Where costs change from one request to the next, what was reserved for others lapses while a dear one is saved up
    # for.
    least = 0.95 if len(costs) == 1 else 0.5
    assert sum(site.costs) >= least * 20 * seconds
