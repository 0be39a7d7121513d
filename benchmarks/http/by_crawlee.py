"""Requests by Crawlee's `HttpCrawler`, in memory and with its log off: as it is made, or with `--stripped`.

Stripped of sessions, retries, looks for blocking and a browser's disguise, it does what a bare loop does; as it is made
it does more, as the engine does. Its queue is filled before the crawl begins, so that filling it is not measured.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from crawlee import ConcurrencySettings
from crawlee.crawlers import HttpCrawler, HttpCrawlingContext
from crawlee.http_clients import ImpitHttpClient
from crawlee.storage_clients import MemoryStorageClient
from measuring import Job, Meter, read_job


async def main(job: Job, meter: Meter, *, stripped: bool) -> None:
    """Crawl all URLs of a job."""
    concurrency = ConcurrencySettings(
        min_concurrency=job.tasks, max_concurrency=job.tasks, desired_concurrency=job.tasks
    )
    if stripped:
        crawler = HttpCrawler(
            storage_client=MemoryStorageClient(),
            http_client=ImpitHttpClient(persist_cookies_per_session=False, browser=None),
            concurrency_settings=concurrency,
            max_request_retries=0,
            use_session_pool=False,
            retry_on_blocked=False,
            configure_logging=False,
        )
    else:
        crawler = HttpCrawler(
            storage_client=MemoryStorageClient(), concurrency_settings=concurrency, configure_logging=False
        )

    @crawler.router.default_handler
    async def handle(context: HttpCrawlingContext) -> None:
        meter.got(await context.http_response.read())

    await crawler.add_requests(list(job.urls()), wait_for_all_requests_to_be_added=True)
    await crawler.run()


if __name__ == "__main__":
    logging.disable()
    the_job = read_job()
    the_meter = Meter(the_job)
    asyncio.run(main(the_job, the_meter, stripped="--stripped" in sys.argv))
    the_meter.tell()
