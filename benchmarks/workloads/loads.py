"""The users' workloads, as data: what is asked of which platform, how long each answer takes, and what it leads to.

What is known of a workload is what it came to where it was measured: how many requests, and the sum of their latencies.
The latencies themselves are drawn here: lognormal, so that most are near the median and some far longer, and scaled to
the known sum. A workload can be drawn as often as one likes, and each draw is always the same: what a schedule comes to
hangs on which latency falls to which task, and a single draw may be a lucky one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

__all__ = ["LOADS", "Event", "Load", "Pace", "Platform", "Task", "tasks_of"]

NEVER = math.inf
"""The latency of what never answers."""
SIGMA = 0.5
"""Of the logarithms of latencies: one in twenty is more than 2.3 times the median."""


class Pace(NamedTuple):
    """How often a platform may be asked (GCRA)."""

    interval: float
    """The seconds between two requests when they come evenly."""
    burst: int = 1
    """The requests that may start at one instant after a pause."""


class Platform(NamedTuple):
    """One site or API."""

    limit: int
    """How many tasks run at once."""
    pace: Pace | None = None
    timeout: float = 30.0
    """The seconds after which a request is given up."""
    attempts: int = 1
    """How often a request is made that is given up each time."""

    def takes(self, task: Task) -> float:
        """Say how many seconds a task takes: until it is answered, or until all its attempts are given up."""
        return task.latency if task.latency < self.timeout else self.timeout * self.attempts


class Task(NamedTuple):
    """One event on one platform: one request."""

    platform: str
    latency: float
    """The seconds from the request to its answer."""
    leads_to: tuple[Event, ...] = ()
    """The events that are known once it is answered."""


class Event(NamedTuple):
    """One thing to scrape."""

    id: str
    tasks: tuple[Task, ...]


class Load(NamedTuple):
    """A workload."""

    about: str
    """What it is, and what it took elsewhere."""
    platforms: Mapping[str, Platform]
    events: Sequence[Event]
    """In the order of the source; those that tasks lead to are not among them."""
    event_limit: int

    @property
    def latencies(self) -> float:
        """What all its requests take, one after another, where no rate is to be kept."""
        return sum(self.platforms[task.platform].takes(task) for task in tasks_of(self.events))


def tasks_of(events: Sequence[Event]) -> Iterator[Task]:
    """Walk through the tasks of events, and of those that they lead to."""
    for event in events:
        for task in event.tasks:
            yield task
            yield from tasks_of(task.leads_to)


# -- how latencies are drawn


def seeded(name: str, draw: int) -> random.Random:
    """Return the source of chance for a draw of a workload."""
    return random.Random(f"{name} {draw}")  # noqa: S311 - no secret hangs on it


def drawn(rng: random.Random, count: int, median: float) -> list[float]:
    """Draw latencies with a median."""
    return [rng.lognormvariate(math.log(median), SIGMA) for _ in range(count)]


def scaled(rng: random.Random, count: int, total: float) -> list[float]:
    """Draw latencies with a sum."""
    raw = drawn(rng, count, 1.0)
    return [each * total / sum(raw) for each in raw]


def with_some(rng: random.Random, latencies: list[float], count: int, latency: float) -> list[float]:
    """Have some of them, chosen by chance, be another one."""
    chosen = set(rng.sample(range(len(latencies)), count))
    return [latency if number in chosen else each for number, each in enumerate(latencies)]


# -- the workloads


def podcasts(about: str, count: int, dead: int, attempts: int, draw: int) -> Load:
    """Ask podcasts, some of which never answer, whether they are live: ten at once, each for ten seconds at most."""
    rng = seeded("podcasts", draw)
    latencies = with_some(rng, drawn(rng, count, median=0.55), dead, NEVER)
    platform = Platform(limit=10, timeout=10.0, attempts=attempts)
    return Load(about, {"podcasts": platform}, one_task_each("podcasts", latencies), event_limit=10)


def one_task_each(platform: str, latencies: Sequence[float]) -> list[Event]:
    """Make events on one platform."""
    return [Event(f"{platform}-{number}", (Task(platform, each),)) for number, each in enumerate(latencies)]


def feeds(about: str, pace: Pace | None, draw: int) -> Load:
    """Read 26 feeds and the 36 articles that they lead to: from 7 sites in turn, ten events at once.

    The first ten feeds lead to two articles each, all others to one. The last site has 3 feeds and 5 articles; it is
    the one that may want to be asked slowly.
    """
    rng = seeded("feeds", draw)
    names = [f"site-{number}" for number in range(7)]
    platforms = {name: Platform(limit=8) for name in names} | {names[-1]: Platform(limit=8, pace=pace)}
    articles = [
        Event(f"article-{number}", (Task(names[number % 7], latency),))
        for number, latency in enumerate(scaled(rng, 36, total=34.0))
    ]
    linked = iter(articles)
    events = []
    for number, latency in enumerate(scaled(rng, 26, total=17.0)):
        leads_to = tuple(next(linked) for _ in range(2 if number < 10 else 1))
        events.append(Event(f"feed-{number}", (Task(names[number % 7], latency, leads_to),)))
    return Load(about, platforms, events, event_limit=10)


def odds(draw: int) -> Load:
    """Compare the odds of 1,311 events on three bookmakers.

    The event limit is 50, the largest limit of a platform: a smaller one would keep the bookmakers that allow for 50
    from ever having as many tasks.
    """
    rng = seeded("odds", draw)
    platforms = {
        "albion": Platform(limit=50),
        "borealis": Platform(limit=50),
        "cardinal": Platform(limit=15, pace=Pace(0.025)),
    }
    latencies = iter(scaled(rng, 3 * 1311, total=24.4 * 60))
    events = [
        Event(f"match-{number}", tuple(Task(name, next(latencies)) for name in platforms)) for number in range(1311)
    ]
    about = (
        "1,311 events on 3 bookmakers, one of them asked 40 times a second; batches of ten took 8.5 minutes elsewhere"
    )
    return Load(about, platforms, events, event_limit=50)


def tracks(draw: int) -> Load:
    """Look up a thousand tracks: 20 a second, five of them at one instant after a pause, and 20 at once."""
    rng = seeded("tracks", draw)
    latencies = with_some(rng, drawn(rng, 1000, median=0.3), 20, 5.0)
    platforms = {"tracks": Platform(limit=20, pace=Pace(0.05, burst=5))}
    about = "1,000 tracks of one API that may be asked 20 times a second; 20 of them take 5 s"
    return Load(about, platforms, one_task_each("tracks", latencies), event_limit=20)


def dates(draw: int) -> Load:
    """Probe 30 dates on one site, five at once."""
    rng = seeded("dates", draw)
    latencies = [rng.uniform(0.5, 3.0) for _ in range(30)]
    about = "30 dates probed on one site, five at once, each in 0.5 to 3 s"
    return Load(about, {"site": Platform(limit=5)}, one_task_each("site", latencies), event_limit=10)


LOADS: Mapping[str, Callable[[int], Load]] = {
    "podcasts-10": partial(podcasts, "10 podcasts, of which one never answers and is given up after 10 s", 10, 1, 1),
    "podcasts-10-dead": partial(
        podcasts, "10 podcasts that never answer, each asked twice; a loop took 200 s of a schedule of 180 s", 10, 10, 2
    ),
    "podcasts-50": partial(podcasts, "50 podcasts, of which five never answer and are given up after 10 s", 50, 5, 1),
    "feeds": partial(
        feeds,
        "26 feeds (17 s) that lead to 36 articles (34 s) on 7 sites; ten threads took 2.5 and 4.3 s elsewhere",
        None,
    ),
    "feeds-polite": partial(
        feeds, "the same, where one site wants 2 s between two requests; that took 15 s elsewhere", Pace(2.0)
    ),
    "odds": odds,
    "tracks": tracks,
    "dates": dates,
}
"""All workloads, by name; each is drawn by a number."""
