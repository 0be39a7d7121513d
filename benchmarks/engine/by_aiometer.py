"""Tasks by `aiometer.amap`, on asyncio, whose results are consumed one by one, in the order in which tasks end.

It takes a sequence of all events, and has a buffer for all results. It has one limit on tasks, which cannot be changed,
and none for platforms; an exception of a task ends all others. Events are numbers.
"""

from __future__ import annotations

import asyncio

import aiometer

from benchmarks.engine.measuring import AT_ONCE, Job, measure, read_job


async def scrape(number: int) -> int:
    """Let others run."""
    await asyncio.sleep(0)
    return number


async def work(job: Job) -> int:
    """Map a task over all numbers, and count what comes out."""
    count = 0
    async with aiometer.amap(scrape, range(job.events), max_at_once=AT_ONCE) as results:
        async for _ in results:
            count += 1
    return count


if __name__ == "__main__":
    asyncio.run(measure(read_job(), work))
