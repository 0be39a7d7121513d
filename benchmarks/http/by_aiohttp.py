"""Requests by workers that share an aiohttp session; on uvloop if the command line says so."""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp

from benchmarks.http.measuring import Job, Meter, read_job

if "--uvloop" in sys.argv:
    import uvloop

    make_loop = uvloop.new_event_loop
else:
    make_loop = asyncio.new_event_loop


async def main(job: Job, meter: Meter) -> None:
    """Have as many workers as there are tasks take from one iterator."""
    urls = job.urls()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=job.tasks)) as session:

        async def work() -> None:
            for url in urls:
                began = time.perf_counter()
                async with session.get(url) as response:
                    response.raise_for_status()
                    body = await response.read()
                meter.took(time.perf_counter() - began)
                meter.got(body)

        await asyncio.gather(*(work() for _ in range(job.tasks)))


if __name__ == "__main__":
    the_job = read_job()
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main(the_job, Meter(the_job)))
