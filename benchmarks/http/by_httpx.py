"""Requests by workers on trio that share an httpx client, whose pool may be as large as there are tasks.

With `--defaults` the pool is as httpx makes it: 100 connections, of which 20 are kept. Both are measured, since neither
is always the faster. A client that is this slow soon uses few of its connections, and loses the others after the 5 s
that httpx keeps what is idle; so the pool is small by the time that is measured, and what came before was far slower.
With `--httpx2` it is httpx2's client, which says the same things in the same words.
"""

from __future__ import annotations

import sys
import time

import trio

from benchmarks.http.measuring import Job, Meter, read_job

if "--httpx2" in sys.argv:
    import httpx2 as httpx
else:
    import httpx


async def main(job: Job, meter: Meter) -> None:
    """Have as many workers as there are tasks take from one iterator."""
    urls = job.urls()
    most, kept = (100, 20) if "--defaults" in sys.argv else (job.tasks, job.tasks)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=kept)
    async with httpx.AsyncClient(limits=limits, timeout=300) as client, trio.open_nursery() as nursery:

        async def work() -> None:
            for url in urls:
                began = time.perf_counter()
                body = (await client.get(url)).raise_for_status().content
                meter.took(time.perf_counter() - began)
                meter.got(body)

        for _ in range(job.tasks):
            nursery.start_soon(work)


if __name__ == "__main__":
    the_job = read_job()
    trio.run(main, the_job, Meter(the_job))
