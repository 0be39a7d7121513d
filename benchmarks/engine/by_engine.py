"""Tasks by the engine, with `stream`, whose consumer counts successes one by one, or with `run`.

It does here all that it does for tasks that scrape: an outcome for each, whatever it raises, an agenda by priority, an
event limit and one for each platform, both of which can be changed, turns in a rate, retries, deadlines and statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

import scrapeengine as se
from benchmarks.engine.measuring import AT_ONCE, Job, Work, measure, read_job, read_way


async def scrape(_: se.Task) -> None:
    """Let others run."""
    await trio.lowlevel.checkpoint()


def make_engine(job: Job) -> se.Engine[None]:
    """Make an engine with platforms, or with one that serves any host."""
    if job.hosts:
        return se.Engine([], default=se.Platform("*", scrape, limit=AT_ONCE), event_limit=AT_ONCE)
    platforms = [se.Platform(f"platform {number}", scrape, limit=AT_ONCE) for number in range(job.platforms)]
    return se.Engine(platforms, event_limit=AT_ONCE)


def make_events(job: Job) -> Iterator[se.Event]:
    """Make events as they are asked for."""
    if job.hosts:
        return (se.Event(n, url=f"http://h{n % job.hosts}.test/{n}") for n in range(job.events))
    return (se.Event(n) for n in range(job.events))


async def stream(job: Job) -> int:
    """Take outcomes one by one, and count the successes."""
    count = 0
    async with make_engine(job).stream(make_events(job)) as run:
        async for outcome in run:
            count += isinstance(outcome, se.Success)
    return count


async def run_all(job: Job) -> int:
    """Run to the end, and return the successes that the report counts."""
    return (await make_engine(job).run(make_events(job))).outcomes.succeeded


WAYS: dict[str, Work] = {"stream": stream, "run": run_all}

if __name__ == "__main__":
    trio.run(measure, read_job(), WAYS[read_way()])
