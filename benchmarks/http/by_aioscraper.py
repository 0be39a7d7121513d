"""Requests by aioscraper over aiohttp, as it is made, but for how many are in flight, and how many may wait."""

from __future__ import annotations

import asyncio
import time

from aioscraper import AIOScraper, Request, Response, ScheduleRequest
from aioscraper.config import Config, SchedulerConfig

from benchmarks.http.measuring import Job, Meter, read_job


async def main(job: Job, meter: Meter) -> None:
    """Scrape all URLs of a job."""
    scheduling = SchedulerConfig(concurrent_requests=job.tasks, ready_queue_max_size=2 * job.tasks)
    scraper = AIOScraper(config=Config(scheduler=scheduling))

    @scraper.middleware
    def noting():  # noqa: ANN202 - a middleware, whose type has no name there
        async def note(call_next, request: Request):  # noqa: ANN001, ANN202 - the same
            request.state["began"] = time.perf_counter()
            return await call_next(request)

        return note

    async def count(response: Response, request: Request) -> None:
        body = await response.read()
        meter.took(time.perf_counter() - request.state["began"])
        meter.got(body)

    async def refuse(exc: Exception) -> None:
        raise exc

    @scraper
    async def schedule(schedule_request: ScheduleRequest) -> None:
        for url in job.urls():
            await schedule_request(Request(url, callback=count, errback=refuse))

    async with scraper:
        await scraper.wait()


if __name__ == "__main__":
    the_job = read_job()
    asyncio.run(main(the_job, Meter(the_job)))
