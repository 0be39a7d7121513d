"""A hundred feeds, served for a week of virtual time, and what they have to say of it."""

import bisect
import itertools
import random

import attrs
import httpx
import pytest
import trio

import scrapeengine as se

HOUR, DAY = 3600, 86_400
WEEK = 7 * DAY
CADENCE = se.Cadence(min_interval=180, max_interval=6 * HOUR)
LATEST = CADENCE.max_interval + 60
"""The seconds after which a change must have been found: the longest wait, and a minute for those who are in front."""
EVERY_THREE_MINUTES = 100 * WEEK // 180


@attrs.define(eq=False)
class Feed:
    """A feed, which knows when it changes, and takes note of when it was asked."""

    changes: list
    asked: list = attrs.field(factory=list)
    found: list = attrs.field(factory=list)
    """How long each change took to be found, as far as it was."""

    def answer(self, now, etag):
        """Answer a request."""
        self.asked.append(now)
        version = bisect.bisect_right(self.changes, now)
        self.found += [now - change for change in self.changes[len(self.found) : version]]
        status = 304 if etag == f'"{version}"' else 200
        return httpx.Response(status, headers={"etag": f'"{version}"'}, json=version if status == 200 else None)


def changes(rng, each):
    """Draw the times of a week at which a feed changes by chance, once in so many seconds on the average."""
    times = itertools.accumulate(rng.expovariate(1 / each) for _ in itertools.count())
    return list(itertools.takewhile(lambda at: at < WEEK, times))


def make_feeds(rng):
    """Make feeds: 20 that change hourly, 40 daily, and 40 that never do."""
    feeds = [Feed(changes(rng, each)) for each in [HOUR] * 20 + [DAY] * 40] + [Feed([]) for _ in range(40)]
    rng.shuffle(feeds)
    return feeds


async def serve(feeds, rng):
    """Serve them for a week, ten on a host."""
    began = trio.current_time()

    async def answer(request):
        await trio.sleep(rng.uniform(0.1, 2))
        feed = feeds[int(request.url.path[1:])]
        return feed.answer(trio.current_time() - began, request.headers.get("if-none-match"))

    async def scrape(task):
        response = await task.http.get(task.event.url, conditional=True)
        task.skip_unchanged(response)
        return response.json()

    engine = se.Engine([], default=se.Platform("*", scrape, transport=httpx.MockTransport(answer)))
    events = [se.Event(url=f"http://host{number // 10}.test/{number}") for number in range(len(feeds))]
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, events, cadence=CADENCE)
        with trio.move_on_after(WEEK):
            async with engine.serve(store) as run:
                async for outcome in run:
                    assert isinstance(outcome, se.Success | se.Skipped)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_week_of_feeds(autojump_clock, seed):
    """No change is found later than by the longest wait, none is asked too soon, for a thirtieth of the requests."""
    rng = random.Random(seed)
    feeds = make_feeds(rng)
    await serve(feeds, rng)
    gaps = [later - before for feed in feeds for before, later in itertools.pairwise(feed.asked)]
    assert min(gaps) >= CADENCE.min_interval
    assert max(gaps) <= LATEST
    for feed in feeds:
        assert len(feed.found) >= bisect.bisect_right(feed.changes, WEEK - LATEST)
        assert all(0 <= delay <= LATEST for delay in feed.found)
        if not feed.changes:
            assert len(feed.asked) <= WEEK / CADENCE.max_interval + 13  # and as many as it takes to get to the maximum
    assert sum(len(feed.asked) for feed in feeds) <= EVERY_THREE_MINUTES / 30
    hourly = sorted(delay for feed in feeds if len(feed.changes) > 100 for delay in feed.found)
    assert hourly[len(hourly) // 2] < HOUR / 2
