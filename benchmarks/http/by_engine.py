"""Requests by the whole engine: with the policies that it has by default, or with `--everything`.

Everything is a rate (beyond what is reached), robots.txt, validators (which are kept; no URL is asked for twice), and
jobs in a store in a file, whose results are on the disk before a consumer sees them; retries are there by default.
Paths are below the platform's `base_url`; with `--absolute` it is asked for whole URLs, as feeds and pages have them,
and with `--one` for one URL again and again.
"""

from __future__ import annotations

import sys
import time
from tempfile import mkdtemp

import trio

import scrapeengine as se
from benchmarks.http.measuring import Job, Meter, below, read_job


def make_engine(job: Job, meter: Meter, *, everything: bool) -> se.Engine[bytes]:
    """Make an engine with one platform."""
    base = job.url if "--absolute" in sys.argv else ""

    async def scrape(task: se.Task) -> bytes:
        began = time.perf_counter()
        body = (await task.http.get(f"{base}/{below(task.event.id)}", conditional=everything)).content
        meter.took(time.perf_counter() - began)
        return body

    rate = se.Rate(1_000_000, burst=1_000) if everything else None
    site = se.Platform("A", scrape, base_url=job.url, limit=job.tasks, rate=rate, robots=everything)
    return se.Engine([site], event_limit=job.tasks)


def count(outcome: se.Outcome[bytes], meter: Meter) -> None:
    """Count an outcome as its consumer gets it."""
    match outcome:
        case se.Success(value=body):
            meter.got(body)
        case _:
            raise RuntimeError(f"not a success: {outcome!r}")


async def stream(job: Job, meter: Meter) -> None:
    """Run all events."""
    async with make_engine(job, meter, everything=False).stream(se.Event(n) for n in range(job.requests)) as run:
        async for outcome in run:
            count(outcome, meter)


async def serve(job: Job, meter: Meter) -> None:
    """Serve a store that has all events."""
    engine = make_engine(job, meter, everything=True)
    async with se.open_store(f"sqlite:{mkdtemp()}/jobs.db") as store:  # where it is, and its end, is the starter's care
        await engine.enqueue(store, (se.Event(n) for n in range(job.requests)))
        async with engine.serve(store) as run:
            async for outcome in run:
                count(outcome, meter)


if __name__ == "__main__":
    the_job = read_job()
    way = serve if "--everything" in sys.argv else stream
    trio.run(way, the_job, Meter(the_job))
