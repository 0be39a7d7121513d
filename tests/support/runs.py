"""Runs of an engine on real sockets: how they ended, and what is left of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

import scrapeengine as se
from support.wire import Server, serving

__all__ = [
    "AT_ONCE",
    "ONCE",
    "Ended",
    "OnServer",
    "Seen",
    "ended",
    "gaps",
    "get",
    "get_event",
    "of_the_engine",
    "on",
    "open_files",
]

ONCE = se.Retry(attempts=1)
AT_ONCE = se.Retry(attempts=3, initial_wait=0, max_wait=0)
_HOME = str(Path(se.__file__).parent)


async def get(task):
    """Make one request, and return the body."""
    return (await task.http.get("/a")).content


async def get_event(task):
    """Ask for the URL of the event."""
    return (await task.http.get(task.event.url)).content


@attrs.define(eq=False)
class Ended:
    """How the tasks of a run ended."""

    outcomes: list

    @property
    def outcome(self):
        """The only outcome."""
        [outcome] = self.outcomes
        return outcome

    @property
    def value(self):
        """What the only scraper returned."""
        assert isinstance(self.outcome, se.Success), getattr(self.outcome, "error", self.outcome)
        return self.outcome.value

    @property
    def error(self):
        """What the only scraper raised."""
        assert isinstance(self.outcome, se.Failure), type(self.outcome)  # its value may be a gigabyte
        return self.outcome.error


@attrs.define(eq=False)
class Seen(Ended):
    """How the tasks of a run ended, and what the sites were asked."""

    asked: list
    """Of the platform's own site: requests, in order."""
    abroad: list = attrs.field(factory=list)
    """Of the other site, which is another origin."""


@attrs.define(eq=False)
class OnServer(Ended):
    """How the tasks of a run against a server of bytes ended."""

    server: Server
    took: float
    """Seconds."""


async def on(serve, scrape=get, *, tls=None, events=("e",), seconds=10, **policy):
    """Run a scraper against a server of bytes. Nothing of the engine may be left when its run has ended."""
    with trio.fail_after(seconds):
        async with serving(serve, tls=tls) as server:
            begun = trio.current_time()
            platform = se.Platform("A", scrape, **({"base_url": server.url, "retry": ONCE} | policy))
            outcomes = await ended([platform], [se.Event(each) for each in events])
            return OnServer(outcomes, server, trio.current_time() - begun)


async def ended(platforms, events, **options):
    """Run events to their end, and return their outcomes. Nothing of the engine may be left then."""
    async with se.Engine(platforms, **options).stream(events) as run:
        outcomes = [outcome async for outcome in run]
    assert not of_the_engine()
    return outcomes


def of_the_engine():
    """List the tasks of this trio run that run the engine's code."""
    found, todo = [], [trio.lowlevel.current_root_task()]
    while todo:
        task = todo.pop()
        for nursery in task.child_nurseries:
            todo += nursery.child_tasks
        code = getattr(task.coro, "cr_code", None)
        if code is not None and code.co_filename.startswith(_HOME):
            found.append(task.name)
    return found


def open_files():
    """List what this process has open."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the folder itself, which was open to be listed
    return found


@asynccontextmanager
async def gaps():
    """Measure how long the loop was stalled: yields a list, which is filled when the block is left."""
    longest = [0.0]

    async def tick():
        last = trio.current_time()
        while True:
            await trio.sleep(0.001)
            now = trio.current_time()
            longest[0] = max(longest[0], now - last)
            last = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        yield longest
        nursery.cancel_scope.cancel()
