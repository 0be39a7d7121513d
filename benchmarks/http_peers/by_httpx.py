"""Requests by workers on trio that share an httpx client."""

from __future__ import annotations

import httpx
import trio
from measuring import Job, Meter, read_job


async def main(job: Job, meter: Meter) -> None:
    """Have as many workers as there are tasks take from one iterator."""
    urls = job.urls()
    limits = httpx.Limits(max_connections=job.tasks, max_keepalive_connections=job.tasks)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client, trio.open_nursery() as nursery:

        async def work() -> None:
            for url in urls:
                meter.got((await client.get(url)).raise_for_status().content)

        for _ in range(job.tasks):
            nursery.start_soon(work)


if __name__ == "__main__":
    the_job = read_job()
    the_meter = Meter(the_job)
    trio.run(main, the_job, the_meter)
    the_meter.tell()
