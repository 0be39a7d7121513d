"""Tasks by anyio, on trio or on asyncio: a task group, a limiter for each platform, and a stream for the results.

As trio alone has it: a limiter is waited for before a task is spawned, results are consumed one by one, and what is
live is bounded. There is no limit for events, no outcome for a task that raises, no deadlines, retries or statistics;
while one platform is full, nothing starts on another. Events are numbers.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from benchmarks.engine.measuring import AT_ONCE, BUFFER, Job, measure, read_job, read_way


async def work(job: Job) -> int:
    """Spawn a task for each number on each platform, and count what comes out of the stream."""
    platforms = [anyio.CapacityLimiter(AT_ONCE) for _ in range(job.platforms)]
    send, receive = anyio.create_memory_object_stream[int](BUFFER)

    async def scrape(number: int, platform: anyio.CapacityLimiter) -> None:
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            platform.release_on_behalf_of(number)
        await send.send(number)

    async def feed() -> None:
        with send:
            async with anyio.create_task_group() as tasks:
                for number in range(job.events):
                    for platform in platforms:
                        await platform.acquire_on_behalf_of(number)
                        tasks.start_soon(scrape, number, platform)

    count = 0
    async with anyio.create_task_group() as group:
        group.start_soon(feed)
        with receive:
            async for _ in receive:
                count += 1
    return count


if __name__ == "__main__":
    anyio.run(measure, read_job(), work, backend=read_way())
