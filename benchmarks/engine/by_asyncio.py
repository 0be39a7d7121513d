"""Tasks by asyncio alone: `gather` over everything, or a task group that is fed as slots come free.

Neither has an outcome for a task that raises, nor deadlines, retries, statistics or a limit that can be changed. Events
are numbers.
"""

from __future__ import annotations

import asyncio

from benchmarks.engine.measuring import AT_ONCE, BUFFER, Job, Work, measure, read_job, read_way


async def gather(job: Job) -> int:
    """Make a task for each number on each platform at once, and count their results, which come all together.

    A platform is a semaphore. All tasks and all results are in memory until the last one has ended; nothing is consumed
    before that, and no limit holds for events.
    """
    platforms = [asyncio.Semaphore(AT_ONCE) for _ in range(job.platforms)]

    async def scrape(number: int, platform: asyncio.Semaphore) -> int:
        async with platform:
            await asyncio.sleep(0)
        return number

    each = (scrape(number, platform) for number in range(job.events) for platform in platforms)
    return len(await asyncio.gather(*each))


async def group(job: Job) -> int:
    """Wait for a slot before each task is made, and count results one by one, out of a bounded queue."""
    slots = asyncio.Semaphore(AT_ONCE)
    results: asyncio.Queue[int | None] = asyncio.Queue(BUFFER)

    async def scrape(number: int) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            slots.release()
        await results.put(number)

    async def feed() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(job.events):
                await slots.acquire()
                tasks.create_task(scrape(number))
        await results.put(None)

    count = 0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        while await results.get() is not None:
            count += 1
    return count


WAYS: dict[str, Work] = {"gather": gather, "group": group}

if __name__ == "__main__":
    asyncio.run(measure(read_job(), WAYS[read_way()]))
