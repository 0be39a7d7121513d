"""Requests by a Scrapy spider: all that it has by default but logs, telnet and retries, with no delay.

How long a request took is Scrapy's own `download_latency`: from its start to the head of its response, which is less
than what is measured of the others. It verifies no certificate, by default.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.http import Response

from benchmarks.http.measuring import Job, Meter, read_job


class Spider(scrapy.Spider):
    """Gets all URLs of a job."""

    name = "spider"

    def __init__(self, job: Job, meter: Meter, **others: Any) -> None:
        """Make it for a job."""
        super().__init__(**others)
        self.job = job
        self.meter = meter

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """Give the requests."""
        for url in self.job.urls():
            yield scrapy.Request(url)

    def parse(self, response: Response) -> None:
        """Count a response."""
        self.meter.took(response.meta["download_latency"])
        self.meter.got(response.body)


if __name__ == "__main__":
    the_job = read_job()
    process = AsyncCrawlerProcess(
        {
            "CONCURRENT_REQUESTS": the_job.tasks,
            "CONCURRENT_REQUESTS_PER_DOMAIN": the_job.tasks,
            "DOWNLOAD_DELAY": 0,
            "LOG_ENABLED": False,
            "RETRY_ENABLED": False,
            "ROBOTSTXT_OBEY": False,
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Spider, job=the_job, meter=Meter(the_job))
    process.start()
