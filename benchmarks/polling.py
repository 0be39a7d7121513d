"""What polling costs, and how soon it finds what is new: a week of simulated feeds, in virtual time, without a socket.

    python -m benchmarks.polling [--feeds 1000] [--days 7] [--seed 1] [--profile]

A feed knows when it changes, and takes note of when it was asked: all figures are by the feeds' own accounts. Beside
them stands what asking every feed each three minutes would have come to. Ends with 3 if a promised bound is broken.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats
import random
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import attrs
import httpx
import trio
from trio.testing import MockClock

import scrapeengine as se
from benchmarks.machine import heading, versions
from benchmarks.tables import BROKEN, Promise, print_promises, print_table

HOUR, DAY = 3600.0, 86_400.0
EVERY = 180.0
"""The seconds between two looks at a feed, of the polling that is compared."""
PER_HOST = 10
MOST_SECONDS = 60.0
"""The promised time for a week of a thousand feeds."""
AIMED_SECONDS = 35.0
"""The time that is aimed at."""
CADENCE = se.Cadence(min_interval=EVERY, max_interval=DAY)
NOTHING = httpx.ByteStream(b"")


@attrs.frozen
class Kind:
    """A kind of feed."""

    name: str
    part: float
    """How many of all feeds are of this kind."""
    changes_each: float
    """The mean of the seconds between two changes, which come by chance; infinite: it never changes."""
    fails_for: float = 0.0
    """The seconds in which it answers 500, from somewhen in the week on."""


KINDS = [
    Kind("hourly", 0.2, HOUR),
    Kind("daily", 0.4, DAY),
    Kind("weekly", 0.15, 7 * DAY),
    Kind("dead", 0.15, math.inf),
    Kind("daily, fails for a day", 0.1, DAY, fails_for=DAY),
]


@attrs.define(eq=False)
class Feed:
    """A simulated feed: when it changes, when it is down, and what it was asked."""

    kind: Kind
    changes: list[float]
    """When it changes, in seconds from the beginning; in order."""
    down: tuple[float, float]
    """From when and until when it answers 500."""
    phase: float
    """When the polling that is compared looks at it first, in seconds from the beginning."""
    asked: list[float] = attrs.field(factory=list, init=False)
    """When it was asked."""
    found: list[float] = attrs.field(factory=list, init=False)
    """The seconds that each change took to be found."""

    def answer(self, now: float, etag: str | None) -> httpx.Response:
        """Answer a request, conditional or not."""
        self.asked.append(now)
        if self.is_down(now):
            return httpx.Response(500, stream=NOTHING)
        version = bisect_right(self.changes, now)
        self.found += [now - at for at in self.changes[len(self.found) : version]]
        if etag == f'"{version}"':
            return httpx.Response(304, headers=[(b"ETag", etag.encode())], stream=NOTHING)
        return httpx.Response(200, headers=[(b"ETag", b'"%d"' % version)], stream=httpx.ByteStream(b"%d" % version))

    def is_down(self, now: float) -> bool:
        """Say whether it answers 500."""
        return self.down[0] <= now < self.down[1]

    def delays(self) -> list[float]:
        """Return how long each change took to be found; infinite if it was not."""
        return self.found + [math.inf] * (len(self.changes) - len(self.found))

    def delays_of_every(self) -> list[float]:
        """Return the same for who looks at it each `EVERY` seconds."""
        return [self._next_look(self.down[1] if self.is_down(self._next_look(at)) else at) - at for at in self.changes]

    def _next_look(self, now: float) -> float:
        return self.phase + math.ceil((now - self.phase) / EVERY) * EVERY


def make_feeds(number: int, seconds: float, rng: random.Random) -> list[Feed]:
    """Make feeds of all kinds."""
    feeds = []
    for kind in KINDS:
        for _ in range(round(number * kind.part)):
            start = rng.uniform(0, max(0.0, seconds - kind.fails_for))
            down = (start, start + kind.fails_for)
            feeds.append(Feed(kind, list(changes(kind, seconds, rng)), down, rng.uniform(0, EVERY)))
    rng.shuffle(feeds)
    return feeds


def changes(kind: Kind, seconds: float, rng: random.Random) -> Iterator[float]:
    """Draw the times at which a feed changes, by chance, within so many seconds."""
    at = 0.0
    while not math.isinf(kind.changes_each) and (at := at + rng.expovariate(1 / kind.changes_each)) < seconds:
        yield at


# -- the polling


async def scrape(task: se.Task) -> str:
    """Get a feed, if it has changed."""
    assert task.event.url is not None
    response = await task.http.get(task.event.url, conditional=True)
    task.skip_unchanged(response)
    return response.text


@attrs.define(eq=False)
class Simulated(httpx.AsyncBaseTransport):
    """All feeds, as if they were sites."""

    feeds: list[Feed]
    rng: random.Random
    began: float = attrs.field(factory=trio.current_time)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a while."""
        await trio.sleep(self.rng.lognormvariate(-1, 0.5))
        number = int(request.url.path.rpartition("/")[2])
        return self.feeds[number].answer(trio.current_time() - self.began, request.headers.get("If-None-Match"))


async def poll(feeds: list[Feed], seconds: float, rng: random.Random) -> None:
    """Poll feeds for so many seconds: serve them, as a program would that runs for ever."""
    hosts = se.Platform("*", scrape, transport=Simulated(feeds, rng), retry=se.Retry(attempts=1))
    engine = se.Engine([], default=hosts, event_limit=50)
    urls = [f"http://host{number // PER_HOST}.test/feeds/{number}" for number in range(len(feeds))]
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(url=url) for url in urls], cadence=CADENCE)
        with trio.move_on_after(seconds):
            async with engine.serve(store) as run:
                await run.wait()


# -- what is printed


def print_delays(feeds: list[Feed]) -> None:
    """Print a line for each kind of feed."""
    rows = []
    for kind in KINDS:
        mine = [feed for feed in feeds if feed.kind is kind]
        delays = sorted(delay for feed in mine for delay in feed.delays())
        every = sorted(delay for feed in mine for delay in feed.delays_of_every())
        counts = (len(mine), len(delays), delays.count(math.inf), sum(len(feed.asked) for feed in mine))
        found = (at(some, part) for some in (delays, every) for part in (0.5, 0.9))
        rows.append((kind.name, *(f"{count:,}" for count in counts), *found))
    looked = f"each {EVERY:g} s"
    head = ("feeds that change", "feeds", "changes", "unfound", "requests", "found after, median", "p90")
    print_table((*head, f"{looked}, median", f"{looked}, p90"), rows)


def at(delays: list[float], part: float) -> str:
    """Say which delay this part of all does not exceed; one that was not found is longer than any other."""
    if not delays:
        return "-"
    seconds = delays[min(int(part * len(delays)), len(delays) - 1)]
    if math.isinf(seconds):
        return "unfound"
    return f"{seconds:,.0f} s" if seconds < HOUR else f"{seconds / HOUR:,.1f} h"


def print_requests(feeds: list[Feed], days: float) -> None:
    """Print how many requests it took, beside asking every feed each `EVERY` seconds."""
    requests, of_every = sum(len(feed.asked) for feed in feeds), len(feeds) * days * DAY / EVERY
    print(f"{requests:,} requests, {requests / of_every:.1%} of the {of_every:,.0f} of asking each {EVERY:g} s.\n")


def judge(feeds: list[Feed], days: float, taken: float) -> list[Promise]:
    """Say what is promised, and what was measured of it."""
    requests = sum(len(feed.asked) for feed in feeds)
    closest = min((later - before for feed in feeds for before, later in pairwise(feed.asked)), default=math.inf)
    return [
        Promise(
            f"{days:g} days of polling {len(feeds):,} feeds, in virtual time",
            f"{taken:.1f} s, {taken / requests * 1e6:.0f} µs a request",
            f"≤ {MOST_SECONDS:g} s",
            f"≤ {AIMED_SECONDS:g} s",
            kept=taken <= MOST_SECONDS,
            reached=taken <= AIMED_SECONDS,
        ),
        Promise(
            "seconds between two looks at one feed",
            f"{closest:.1f}",
            f"≥ {CADENCE.min_interval:g}",
            kept=closest >= CADENCE.min_interval,
        ),
    ]


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(description="what polling costs, and how soon it finds what is new")
    parser.add_argument("--feeds", type=int, default=1000, help="how many feeds (default: 1000)")
    parser.add_argument("--days", type=float, default=7.0, help="for how many days (default: 7)")
    parser.add_argument("--seed", type=int, default=1, help="of changes and latencies (default: 1)")
    parser.add_argument("--profile", action="store_true", help="say where the time goes; takes three times as long")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - no secret hangs on it
    feeds = make_feeds(options.feeds, options.days * DAY, rng)
    profile = cProfile.Profile()
    before = time.perf_counter()
    if options.profile:
        profile.enable()
    trio.run(poll, feeds, options.days * DAY, rng, clock=MockClock(autojump_threshold=0))
    profile.disable()
    taken = time.perf_counter() - before
    print(f"## Polling\n\n{heading(versions('scrapeengine', 'trio'))}")
    print(f"{len(feeds):,} simulated feeds, {PER_HOST} on a host, for {options.days:g} days; {CADENCE}. One run.\n")
    kept = print_promises(judge(feeds, options.days, taken))
    print_delays(feeds)
    print_requests(feeds, options.days)
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
