"""What is measured: ways to run tasks, how many tasks by each, and in how many rounds."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.engine.measuring import Job

__all__ = ["COMPARED", "HOSTS", "MEMORY", "PLATFORMS", "WAYS", "Case", "Way", "plan"]


class Way(NamedTuple):
    """A way to run tasks: a program of its own, and what it is told."""

    title: str
    program: str
    needs: tuple[str, ...] = ()
    """The distributions that it cannot run without."""
    option: str = ""


WAYS = {
    "stream": Way("`Engine.stream`", "by_engine", ("scrapeengine",), "stream"),
    "run": Way("`Engine.run`", "by_engine", ("scrapeengine",), "run"),
    "trio": Way("trio alone: nursery, limiter, channel", "by_trio", ("trio",)),
    "group": Way("asyncio alone: `TaskGroup`, semaphore, queue", "by_asyncio", option="group"),
    "gather": Way("`asyncio.gather` over all, semaphore", "by_asyncio", option="gather"),
    "aiometer": Way("`aiometer.amap`, on asyncio", "by_aiometer", ("aiometer",)),
    "anyio-trio": Way("anyio on trio: group, limiter, stream", "by_anyio", ("anyio", "trio"), "trio"),
    "anyio-asyncio": Way("anyio on asyncio: group, limiter, stream", "by_anyio", ("anyio",), "asyncio"),
}


class Case(NamedTuple):
    """Something that is measured."""

    way: str
    """Of `WAYS`."""
    job: Job


_COMPARED_EVENTS = {
    "stream": 200_000,
    "run": 200_000,
    "trio": 100_000,
    "group": 400_000,
    "gather": 200_000,
    "aiometer": 50_000,
    "anyio-trio": 50_000,
    "anyio-asyncio": 50_000,
}
"""How many events: about two seconds of CPU time at least."""


def _several(way: str, tasks: int, platforms: int) -> Case:
    return Case(way, Job(tasks // platforms, platforms))


COMPARED = [Case(way, Job(events)) for way, events in _COMPARED_EVENTS.items()]
"""The engine and its peers, on one platform."""
PLATFORMS = {
    1: [Case("stream", Job(200_000)), Case("gather", Job(100_000)), Case("anyio-trio", Job(50_000))],
    2: [_several("stream", 50_000, 2), _several("gather", 100_000, 2), _several("anyio-trio", 50_000, 2)],
    3: [_several("stream", 50_000, 3), _several("gather", 100_000, 3), _several("anyio-trio", 50_000, 3)],
}
"""By the number of platforms."""
MEMORY = {
    1_000: [Case("stream", Job(1_000)), Case("gather", Job(1_000))],
    10_000: [Case(way, Job(10_000)) for way in ("stream", "run", "gather")],
    100_000: [Case("stream", Job(100_000)), Case("gather", Job(100_000))],
    1_000_000: [Case(way, Job(1_000_000)) for way in ("stream", "run", "gather")],
}
"""By the number of events."""
HOSTS = {hosts: Case("stream", Job(200_000, hosts=hosts)) for hosts in (1, 10, 100, 1_000, 10_000, 100_000)}
"""By the number of hosts."""


def plan(runs: int) -> dict[Case, int]:
    """Say in how many of the rounds each case is measured: in all, unless it is long and there is no promise of it."""
    few = [case for cases in PLATFORMS.values() for case in cases]
    once = [*HOSTS.values(), *MEMORY[100_000], *MEMORY[1_000_000]]
    always = [*COMPARED, *MEMORY[1_000], *MEMORY[10_000]]
    return dict.fromkeys(once, 1) | dict.fromkeys(few, min(runs, 2)) | dict.fromkeys(always, runs)
