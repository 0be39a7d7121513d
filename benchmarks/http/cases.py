"""What is measured beside one another, and what the engine promises to be beside its peers."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AIMS", "CASES", "PROMISES", "Case", "Promise"]


class Case(NamedTuple):
    """A way to make requests: a program of its own."""

    title: str
    program: str
    needs: tuple[str, ...]
    """The distributions that it cannot run without."""
    share: float
    """How many requests it makes of what the fastest make, so that all take about as long."""
    options: tuple[str, ...] = ()


CASES = {
    "engine": Case("scrapeengine", "by_engine.py", ("scrapeengine",), 1.0),
    "aiohttp": Case("aiohttp", "by_aiohttp.py", ("aiohttp",), 1.0),
    "uvloop": Case("aiohttp on uvloop", "by_aiohttp.py", ("aiohttp", "uvloop"), 1.0, ("--uvloop",)),
    "httpx": Case("httpx on trio", "by_httpx.py", ("httpx", "trio"), 0.06, ("--defaults",)),
    "httpx-limits": Case("httpx on trio, as many connections as tasks", "by_httpx.py", ("httpx", "trio"), 0.06),
    "scrapy": Case("Scrapy", "by_scrapy.py", ("scrapy",), 0.1),
    "crawlee": Case("Crawlee (HttpCrawler, impit)", "by_crawlee.py", ("crawlee",), 0.3),
    "crawlee-stripped": Case(
        "Crawlee without sessions and retries", "by_crawlee.py", ("crawlee",), 0.3, ("--stripped",)
    ),
    "bare": Case("bare trio + httptools", "by_bare.py", ("trio", "httptools"), 3.0),
}
"""By the name that the command line takes."""


class Promise(NamedTuple):
    """How the engine's rate stands to that of a peer."""

    peer: str
    times: float
    """The least ratio."""
    tasks: int | None = None
    """With how many tasks; None: with any number."""


PROMISES = (
    Promise("aiohttp", 1.0),
    Promise("httpx", 10.0, 50),
    Promise("httpx", 20.0, 200),
    Promise("scrapy", 8.0),
    Promise("crawlee", 3.0),
)
AIMS = (
    Promise("crawlee-stripped", 3.0),
    Promise("httpx-limits", 10.0, 50),
    Promise("httpx-limits", 20.0, 200),
    Promise("uvloop", 1.25),
    Promise("bare", 0.5),
)
"""What comes after the promises; not reaching these breaks nothing."""
