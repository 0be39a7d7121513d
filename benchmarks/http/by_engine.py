"""Requests by the whole engine, with the policies that it has by default."""

from __future__ import annotations

import cProfile
import pstats
import sys

import trio
from measuring import Job, Meter, read_job

import scrapeengine as se


async def scrape(task: se.Task) -> bytes:
    """Get a page."""
    return (await task.http.get(f"/{task.event.id}")).content


async def main(job: Job, meter: Meter) -> None:
    """Run all events, and count their outcomes as the consumer gets them."""
    site = se.Platform("A", scrape, base_url=job.url, limit=job.tasks)
    engine = se.Engine([site], event_limit=job.tasks)
    async with engine.stream(se.Event(number) for number in job.numbers()) as run:
        async for outcome in run:
            match outcome:
                case se.Success(value=body):
                    meter.got(body)
                case _:
                    raise RuntimeError(f"not a success: {outcome!r}")


if __name__ == "__main__":
    the_job = read_job()
    the_meter = Meter(the_job)
    if "--profile" in sys.argv:
        with cProfile.Profile() as profile:
            trio.run(main, the_job, the_meter)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    else:
        trio.run(main, the_job, the_meter)
        the_meter.tell()
