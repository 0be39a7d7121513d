"""Tasks by trio alone: a nursery, a limiter that is waited for before a task is spawned, and a channel for its result.

Results are consumed one by one, and what is live is bounded. There is one limit, and no more: no outcome for a task
that raises (it would end all others), no platforms, deadlines, retries or statistics. Events are numbers.
"""

from __future__ import annotations

import trio

from benchmarks.engine.measuring import AT_ONCE, BUFFER, Job, measure, read_job


async def work(job: Job) -> int:
    """Spawn a task for each number, and count what comes out of the channel."""
    limiter = trio.CapacityLimiter(AT_ONCE)
    send, receive = trio.open_memory_channel[int](BUFFER)

    async def scrape(number: int) -> None:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            limiter.release_on_behalf_of(number)
        await send.send(number)

    async def feed() -> None:
        with send:
            async with trio.open_nursery() as tasks:
                for number in range(job.events):
                    await limiter.acquire_on_behalf_of(number)
                    tasks.start_soon(scrape, number)

    count = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        async for _ in receive:
            count += 1
    return count


if __name__ == "__main__":
    trio.run(measure, read_job(), work)
