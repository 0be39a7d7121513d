"""An engine beside a running asyncio program: in a thread of its own, fed from asyncio, and stopped from there.

    python examples/in_asyncio.py

What crosses between the two loops, and how:

    events      asyncio ──> engine    `trio.from_thread.run(channel.send, …)`, into a channel that holds none
    outcomes    engine ──> asyncio    `loop.call_soon_threadsafe(…)`
    the stop    asyncio ──> engine    `run.stop_soon()`

Nothing is lost on the way: when `feed` returns, the run has taken the event, and will give exactly one outcome for it;
when it raises, the run has not. A program that feeds faster than the platforms allow is made to wait. In a terminal it
shows its progress, which needs `rich`; how much is to come, nobody knows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import attrs
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Request, Site

Outcome = se.Outcome[str]


class Stopped(Exception):
    """The run takes no more events."""


@attrs.frozen
class Feeder:
    """What the asyncio side holds of a run in the other thread."""

    run: se.Run[str]
    token: trio.lowlevel.TrioToken
    channel: trio.MemorySendChannel[se.Event]

    async def feed(self, event: se.Event) -> None:
        """Hand an event to the run, and wait until it has taken it.

        If cancelled, the run may take the event all the same.

        Raises:
            Stopped: the run takes no more, and has not taken this one.
        """

        def send() -> None:
            trio.from_thread.run(self.channel.send, event, trio_token=self.token)

        try:
            await asyncio.to_thread(send)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.RunFinishedError, trio.Cancelled):
            # Which of these it is depends on how far trio has come with its end. It may be trio's Cancelled: asyncio
            # has one of its own, and knows nothing of this one.
            raise Stopped from None


async def scrape(task: se.Task) -> str:
    """Scrape one page."""
    response = await task.http.get(f"/pages/{task.event.id}")
    return response.text


async def run_engine(started: Callable[[Feeder], object], ended: Callable[[Outcome], object]) -> None:
    """Run an engine until it is stopped: the trio side. Both callbacks are called in its thread."""
    async with Site.open(answer) as site:
        platform = se.Platform("pages", scrape, base_url=site.url, limit=4)
        engine = se.Engine([platform], lookahead=20)
        channel, events = trio.open_memory_channel[se.Event](0)
        with channel, events:  # closed once the run is over, so that whoever still feeds is told
            async with engine.stream(events) as run, progress(run):
                started(Feeder(run, trio.lowlevel.current_trio_token(), channel))
                async for outcome in run:
                    ended(outcome)


def progress(run: se.Run[str]) -> AbstractAsyncContextManager[object]:
    """Show how far it is, where somebody sees it: drawn in this thread, in the loop of the run."""
    return se.observe.Progress(run) if sys.stderr.isatty() else nullcontext()


@asynccontextmanager
async def engine_beside(ended: Callable[[Outcome], object]) -> AsyncIterator[Feeder]:
    """Run the engine in a thread for as long as the `async with` lasts; then stop it, and wait for the thread.

    `ended` is called in the asyncio loop with each outcome, and with the last one before the `async with` is over. What
    the engine raises leaves at the end.
    """
    loop = asyncio.get_running_loop()
    feeder: asyncio.Future[Feeder] = loop.create_future()

    def started(it: Feeder) -> None:
        loop.call_soon_threadsafe(feeder.set_result, it)

    def passed_on(outcome: Outcome) -> None:
        loop.call_soon_threadsafe(ended, outcome)

    thread = asyncio.create_task(asyncio.to_thread(trio.run, run_engine, started, passed_on))
    first: set[asyncio.Future[Any]] = {feeder, thread}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if feeder.done():
            yield feeder.result()
    finally:
        # Also where we are cancelled before the run has begun: then it is stopped as soon as it has.
        feeder.add_done_callback(lambda done: done.result().run.stop_soon(grace=1))
        await thread


async def feed_for(seconds: float, pages: int) -> None:
    """Feed pages to the engine for some seconds, while the asyncio loop goes on with work of its own."""
    kinds: Counter[str] = Counter()
    fed = ticks = 0

    async def feed_all(feeder: Feeder) -> None:
        nonlocal fed
        for number in range(pages):
            await feeder.feed(se.Event(number))
            fed += 1

    async with engine_beside(lambda outcome: kinds.update([type(outcome).__name__])) as feeder:
        feeding = asyncio.create_task(feed_all(feeder))
        while ticks * 0.05 < seconds and not feeding.done():
            await asyncio.sleep(0.05)
            ticks += 1
    try:
        await feeding
    except Stopped:
        print("stopped before all pages were fed")
    print(f"fed {fed} of {pages} pages")
    print(f"{kinds['Success']} succeeded, {kinds['Failure']} failed, {kinds['Cancelled']} cancelled")
    print(f"the asyncio loop ticked {ticks} times meanwhile")
    if kinds.total() != fed:
        raise SystemExit(f"{fed} events were taken, and {kinds.total()} outcomes came")


async def answer(request: Request) -> Answer:
    """Answer as a site does that takes its time."""
    await trio.sleep(0.1)
    return Answer(body=f"this is {request.path}".encode())


def main() -> None:
    """Read the command line, and run the asyncio program."""
    parser = argparse.ArgumentParser(description="Run an engine beside an asyncio program.")
    parser.add_argument("--pages", type=int, default=1000, metavar="N", help="how many pages to feed")
    parser.add_argument("--seconds", type=float, default=2, metavar="S", help="when to stop")
    options = parser.parse_args()
    asyncio.run(feed_for(options.seconds, options.pages))


if __name__ == "__main__":
    main()
