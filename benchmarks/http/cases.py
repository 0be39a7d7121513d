"""What is measured beside one another, under which circumstances, and what the engine promises to be."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AIMS", "CASES", "COSTS", "HEADLINE", "PLACES", "SHOWN", "SIZES", "TASKS", "Aim", "Case", "Cost", "Place"]
__all__ += ["too_slow"]


class Case(NamedTuple):
    """A way to make requests: a program of its own."""

    title: str
    program: str
    needs: tuple[str, ...]
    """The distributions that it cannot run without."""
    share: float
    """How many requests it makes of what the fastest make, so that all take about as long."""
    options: tuple[str, ...] = ()
    system: bool = False
    """Whether the system's own Python runs it, which is built with all optimisations where another one is not."""


CASES = {
    "engine": Case("scrapeengine", "by_engine", ("scrapeengine",), 1.0),
    "absolute": Case("scrapeengine, absolute URLs", "by_engine", ("scrapeengine",), 1.0, ("--absolute",)),
    "everything": Case("scrapeengine, everything on", "by_engine", ("scrapeengine", "apsw"), 0.4, ("--everything",)),
    "engine-one": Case("scrapeengine, one URL", "by_engine", ("scrapeengine",), 1.0, ("--one",)),
    "engine-system": Case("scrapeengine, the system's Python", "by_engine", ("scrapeengine",), 1.0, (), system=True),
    "aiohttp": Case("aiohttp", "by_aiohttp", ("aiohttp",), 1.0),
    "aiohttp-one": Case("aiohttp, one URL", "by_aiohttp", ("aiohttp",), 1.0, ("--one",)),
    "aiohttp-system": Case("aiohttp, the system's Python", "by_aiohttp", ("aiohttp",), 1.0, (), system=True),
    "uvloop": Case("aiohttp on uvloop", "by_aiohttp", ("aiohttp", "uvloop"), 1.0, ("--uvloop",)),
    "httpx": Case("httpx on trio, its own pool", "by_httpx", ("httpx", "trio"), 0.06, ("--defaults",)),
    "httpx-limits": Case("httpx on trio, as many connections as tasks", "by_httpx", ("httpx", "trio"), 0.06),
    "httpx2": Case("httpx2 on trio, its own pool", "by_httpx", ("httpx2", "trio"), 0.1, ("--httpx2", "--defaults")),
    "scrapy": Case("Scrapy", "by_scrapy", ("scrapy",), 0.08),
    "crawlee": Case("Crawlee (HttpCrawler, impit)", "by_crawlee", ("crawlee",), 0.25),
    "crawlee-stripped": Case("Crawlee without sessions and retries", "by_crawlee", ("crawlee",), 0.25, ("--stripped",)),
    "aioscraper": Case("aioscraper on aiohttp", "by_aioscraper", ("aioscraper", "aiohttp"), 0.4),
    "bare": Case("a bare trio and httptools loop: the limit", "by_bare", ("trio", "httptools"), 3.0),
}
"""By the name that the command line takes."""
SHOWN = (
    *("scrapeengine", "trio", "httptools", "apsw", "aiohttp", "uvloop", "httpx", "httpx2", "httpcore", "scrapy"),
    *("twisted", "crawlee", "impit", "aioscraper"),
)
"""The distributions whose versions say what was measured."""
TASKS = (10, 50, 200, 1000)
"""How many requests are in flight at once."""


class Place(NamedTuple):
    """What is asked for: bodies of a size, in the clear or by TLS."""

    size: str
    tls: bool
    share: float
    """How many requests are made of what are made in the first of all places."""

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{SIZES[self.size] / 1000:g} kB, {'TLS' if self.tls else 'plain'}"


SIZES = {"small": 1300, "large": 45_000}
"""The bytes of bodies, by the first part of their path."""
PLACES = (
    Place("small", tls=False, share=1.0),
    Place("large", tls=False, share=0.5),
    Place("small", tls=True, share=0.6),
    Place("large", tls=True, share=0.25),
)
HEADLINE = PLACES[0], (50, 200)
"""Where the promises are made; it is measured more often than all else."""


def too_slow(name: str, tasks: int, place: Place) -> bool:
    """Say whether a case takes minutes for a run there, and is left out: httpx with 1,000 requests at once.

    It is measured in the first of all places.
    """
    return name in {"httpx", "httpx-limits"} and tasks >= 1000 and place != PLACES[0]


class Aim(NamedTuple):
    """How the engine's rate is to stand to that of a peer."""

    peer: str
    times: float
    """The least ratio."""
    promised: bool
    tasks: int | None = None
    """With how many tasks; None: with each number of those that promises are made for."""
    ours: str = "engine"
    """The case of ours that is compared."""


AIMS = (
    Aim("aiohttp", 1.0, promised=True),
    Aim("httpx", 10.0, promised=True, tasks=50),
    Aim("httpx", 20.0, promised=True, tasks=200),
    Aim("scrapy", 8.0, promised=True),
    Aim("crawlee", 3.0, promised=True),
    Aim("crawlee-stripped", 3.0, promised=False),
    Aim("httpx-limits", 10.0, promised=False, tasks=50),
    Aim("httpx-limits", 20.0, promised=False, tasks=200),
    Aim("aiohttp-one", 1.0, promised=False, ours="engine-one"),
    Aim("aiohttp-system", 1.0, promised=False, ours="engine-system"),
    Aim("uvloop", 1.25, promised=False),
    Aim("bare", 0.5, promised=False),
)


class Cost(NamedTuple):
    """How much more CPU time a request of ours may take than another one of ours."""

    what: str
    ours: tuple[str, int]
    """The case, and how many requests are in flight at once."""
    than: tuple[str, int]
    """The other one."""
    most: float
    """The largest ratio that is aimed at."""


COSTS = (
    Cost("CPU time of a request, 1,000 at once, of one of 200", ("engine", 1000), ("engine", 200), 1.3),
    Cost(
        "CPU time of a request with everything on, of a plain one, 50 at once", ("everything", 50), ("engine", 50), 2.5
    ),
    Cost("the same, 200 at once", ("everything", 200), ("engine", 200), 2.5),
)
