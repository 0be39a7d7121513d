"""The engine, on a workload: in virtual time without a socket, and in real time on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import httpx
import trio
from trio.testing import MockClock

import scrapeengine as se
from benchmarks.workloads.loads import Event, Load, Platform, tasks_of

__all__ = ["really", "virtually"]


def virtually(load: Load) -> float:
    """Return the virtual seconds that a workload takes."""
    urls = {name: f"http://{name}.test" for name in load.platforms}
    return trio.run(run, load, urls, Simulated(), clock=MockClock(autojump_threshold=0))


def really(load: Load, urls: Iterable[str]) -> float:
    """Return the seconds that a workload takes on sites: a site for each platform."""
    return trio.run(run, load, dict(zip(load.platforms, urls, strict=False)), None)


class Simulated(httpx.AsyncBaseTransport):
    """All sites, where no socket is; they answer as those of `server` do."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after as many seconds as the path says."""
        await trio.sleep(float(request.url.path.rpartition("/")[2]))
        return httpx.Response(200, content=b"ok")


async def scrape(task: se.Task) -> None:
    """Make the request of a task, and follow what it leads to."""
    event: Event = task.event.data
    (mine,) = (each for each in event.tasks if each.platform == task.platform)
    await task.http.get(f"/wait/{mine.latency}")
    for followed in mine.leads_to:
        task.follow(as_ours(followed))


def as_ours(event: Event) -> se.Event:
    """Make an event for the engine."""
    return se.Event(event.id, platforms=tuple(task.platform for task in event.tasks), data=event)


def platform_of(name: str, policy: Platform, url: str, transport: httpx.AsyncBaseTransport | None) -> se.Platform[None]:
    """Make a platform for the engine. What is tried again is tried at once."""
    return se.Platform(
        name,
        scrape,
        base_url=url,
        limit=policy.limit,
        rate=None if policy.pace is None else se.Rate(1, per=policy.pace.interval, burst=policy.pace.burst),
        timeout=se.Timeout(attempt=policy.timeout),
        retry=se.Retry(attempts=policy.attempts, initial_wait=0.0),
        transport=transport,
    )


async def run(load: Load, urls: Mapping[str, str], transport: httpx.AsyncBaseTransport | None) -> float:
    """Run a workload, and return the seconds from the beginning to the end of the run.

    Raises:
        RuntimeError: not as many tasks have succeeded, or failed, as should have.
    """
    engine = se.Engine(
        [platform_of(name, policy, urls[name], transport) for name, policy in load.platforms.items()],
        event_limit=load.event_limit,
    )
    began = trio.current_time()
    async with engine.stream(map(as_ours, load.events)) as stream:
        async for _ in stream:
            pass
    seconds = trio.current_time() - began
    check(stream.report, load)
    return seconds


def check(report: se.Report, load: Load) -> None:
    """See that each task has ended as it should."""
    tasks = list(tasks_of(load.events))
    answered = sum(task.latency < load.platforms[task.platform].timeout for task in tasks)
    found = report.outcomes
    if (found.succeeded, found.failed, found.total) != (answered, len(tasks) - answered, len(tasks)):
        raise RuntimeError(f"{answered} of {len(tasks)} tasks should have succeeded, and this came of it: {found}")
