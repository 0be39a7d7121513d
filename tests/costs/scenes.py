"""The runs whose costs are counted: one scraper on one or more platforms, alone or with requests."""

import attrs
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

import scrapeengine as se
from costs.counting import run
from costs.lockstep import Lockstep

__all__ = ["Scene", "asks", "by_run", "by_stream", "counted", "returns", "traced"]


async def returns(task):
    """Do as little as a task can."""
    await trio.lowlevel.checkpoint()


async def asks(task):
    """Make a request."""
    assert (await task.http.get("/x")).status_code == 200


async def by_stream(engine, events):
    """Read all outcomes."""
    async with engine.stream(events) as stream:
        async for _ in stream:
            pass
    return stream.report


async def counted(engine, events):
    """Read all outcomes, and have the run recorded, without a timeline."""
    async with engine.stream(events, instruments=[se.observe.Recording(timeline=0)]) as stream:
        async for _ in stream:
            pass
    return stream.report


async def traced(engine, events):
    """Read all outcomes, and have all tasks traced, of which the sampler takes none."""
    traces = se.observe.Traces(TracerProvider(sampler=ParentBased(ALWAYS_OFF)))
    async with engine.stream(events, instruments=[traces]) as stream:
        async for _ in stream:
            pass
    return stream.report


async def by_run(engine, events):
    """Have the engine run them all."""
    return await engine.run(events)


@attrs.frozen
class Scene:
    """A run of events."""

    scrape: object
    how: object = by_stream
    platforms: int = 1
    limit: int = 10
    """As many tasks of each platform run at once, and as many events."""
    apart: bool = False
    """Whether each event is on one platform only, and not on all."""

    def play(self, n, site=None, instruments=()):
        """Run about so many tasks, and return the report."""
        if site is None:
            with Lockstep() as own:
                return self.play(n, own, instruments)
        names = [f"p{number}" for number in range(self.platforms)]
        platforms = [se.Platform(name, self.scrape, limit=self.limit, base_url=site.url) for name in names]
        # What is looked ahead is less than a run, so that reading the source on is part of what is counted.
        engine = se.Engine(platforms, event_limit=self.limit, lookahead=100)
        if self.apart:
            events = (se.Event(number, platforms=[names[number % len(names)]]) for number in range(n))
        else:
            events = (se.Event(number) for number in range(n // len(names)))
        return run(self.how, engine, events, instruments=(*instruments, site))
