"""Requests by Crawlee's `HttpCrawler`, in memory and with its log off: as it is made, or with `--stripped`.

Stripped of sessions, retries, looks for blocking and a browser's disguise, it does what a bare loop does; as it is made
it does more, as the engine does. Its queue is filled before the crawl begins, so that filling it is not measured. It
verifies no certificate: its client takes authorities from the system alone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from crawlee import ConcurrencySettings
from crawlee.crawlers import BasicCrawlingContext, HttpCrawler, HttpCrawlingContext
from crawlee.http_clients import ImpitHttpClient
from crawlee.storage_clients import MemoryStorageClient

from benchmarks.http.measuring import Job, Meter, read_job


def make_crawler(tasks: int, *, stripped: bool) -> HttpCrawler:
    """Make a crawler for so many tasks at once."""
    concurrency = ConcurrencySettings(min_concurrency=tasks, max_concurrency=tasks, desired_concurrency=tasks)
    if not stripped:
        return HttpCrawler(
            storage_client=MemoryStorageClient(),
            http_client=ImpitHttpClient(verify=False),
            concurrency_settings=concurrency,
            configure_logging=False,
        )
    return HttpCrawler(
        storage_client=MemoryStorageClient(),
        http_client=ImpitHttpClient(persist_cookies_per_session=False, browser=None, verify=False),
        concurrency_settings=concurrency,
        max_request_retries=0,
        use_session_pool=False,
        retry_on_blocked=False,
        configure_logging=False,
    )


async def main(job: Job, meter: Meter, *, stripped: bool) -> None:
    """Crawl all URLs of a job."""
    crawler = make_crawler(job.tasks, stripped=stripped)
    began: dict[str, float] = {}

    @crawler.pre_navigation_hook
    async def begin(context: BasicCrawlingContext) -> None:
        began[context.request.url] = time.perf_counter()

    @crawler.router.default_handler
    async def handle(context: HttpCrawlingContext) -> None:
        body = await context.http_response.read()
        meter.took(time.perf_counter() - began.pop(context.request.url))
        meter.got(body)

    await crawler.add_requests(list(job.urls()), wait_for_all_requests_to_be_added=True)
    await crawler.run()


if __name__ == "__main__":
    logging.disable()
    the_job = read_job()
    asyncio.run(main(the_job, Meter(the_job), stripped="--stripped" in sys.argv))
