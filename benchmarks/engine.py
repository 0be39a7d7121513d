"""What the engine alone costs: scrapers that do nothing but let others run, each run in a process of its own.

    python benchmarks/engine.py [--runs 3] [--million]

Measured are the CPU time of a task and the most memory that its process ever held. The runs of all cases alternate, so
that a machine that slows down slows all of them. Ends with 1 if a promised bound is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import NamedTuple

import trio

import scrapeengine as se

FEW, MANY, MILLION = 10_000, 200_000, 1_000_000
AT_ONCE = 50
MOST_MICROSECONDS = 100.0
"""The promised CPU time of a task."""
MOST_GROWTH = 20.0
"""The promised memory in MB that `MANY` events take more than `FEW`."""


class Case(NamedTuple):
    """What is measured: a way to run events, how many, and how many hosts they are spread over."""

    way: str
    events: int
    hosts: int = 0


class Cost(NamedTuple):
    """What a run of a case took."""

    microseconds: float
    """CPU time of a task."""
    megabytes: float
    """The most memory that its process held."""


# -- one case, in its own process


async def nothing(_: object) -> None:
    """Let others run."""
    await trio.lowlevel.checkpoint()


def engine(*, default: bool = False) -> se.Engine[None]:
    """Make the engine that is measured."""
    site = se.Platform("*" if default else "A", nothing, limit=AT_ONCE)
    return se.Engine([], default=site, event_limit=AT_ONCE) if default else se.Engine([site], event_limit=AT_ONCE)


async def by_run(events: Iterator[se.Event]) -> int:
    """Run events with `Engine.run`, and count their outcomes."""
    return (await engine().run(events)).outcomes.succeeded


async def by_stream(events: Iterator[se.Event], *, default: bool = False) -> int:
    """Run events with `Engine.stream`, and count their outcomes."""
    count = 0
    async with engine(default=default).stream(events) as run:
        async for _ in run:
            count += 1
    return count


async def by_trio(events: Iterator[se.Event]) -> int:
    """Run events with trio alone: a task for each, a limiter, and a channel for what comes out."""
    limiter = trio.CapacityLimiter(AT_ONCE)
    send, receive = trio.open_memory_channel[se.Event](100)

    async def scrape(event: se.Event) -> None:
        try:
            await nothing(event)
        finally:
            limiter.release_on_behalf_of(event.id)
        await send.send(event)

    async def feed() -> None:
        async with send, trio.open_nursery() as tasks:
            for event in events:
                await limiter.acquire_on_behalf_of(event.id)
                tasks.start_soon(scrape, event)

    count = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        async for _ in receive:
            count += 1
    return count


WAYS: dict[str, Callable[[Iterator[se.Event]], Awaitable[int]]] = {
    "trio alone": by_trio,
    "stream": by_stream,
    "run": by_run,
    "hosts": partial(by_stream, default=True),
}


def make_events(case: Case) -> Iterator[se.Event]:
    """Make events as they are asked for, on as many hosts as the case has."""
    if not case.hosts:
        return (se.Event(number) for number in range(case.events))
    return (se.Event(number, url=f"http://h{number % case.hosts}.test/{number}") for number in range(case.events))


def measure(case: Case) -> Cost:
    """Run a case in this process, which is then good for no other."""

    async def main() -> float:
        before = time.process_time()
        count = await WAYS[case.way](make_events(case))
        taken = time.process_time() - before
        if count != case.events:
            raise RuntimeError(f"{case.events} events gave {count} successes")
        return taken

    taken = trio.run(main)
    return Cost(taken / case.events * 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


# -- all cases


def choose_cases(*, million: bool) -> list[Case]:
    """List what is to be measured."""
    counts = [FEW, MANY, *([MILLION] if million else [])]
    engines = [Case(way, count) for way in ("stream", "run") for count in counts]
    return [Case("trio alone", MANY), *engines, *(Case("hosts", MANY, hosts) for hosts in (1, 10_000, 100_000))]


def measure_apart(case: Case) -> Cost:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    return Cost(*json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))  # noqa: S603 - itself


def measure_all(cases: list[Case], runs: int) -> dict[Case, Cost]:
    """Run each case several times, in turns, and return the medians."""
    costs: dict[Case, list[Cost]] = defaultdict(list)
    for number in range(runs):
        for case in cases:
            print(f"run {number + 1} of {runs}: {title(case)}", file=sys.stderr, flush=True)
            costs[case].append(measure_apart(case))
    return {case: Cost(*map(median, zip(*taken, strict=True))) for case, taken in costs.items()}


# -- what is printed


def title(case: Case) -> str:
    """Name a case."""
    hosts = f" on {case.hosts:,} host{'s' * (case.hosts > 1)}" if case.hosts else ""
    return f"{'stream' if case.hosts else case.way}, {case.events:,} events{hosts}"


def processor() -> str:
    """Name the processor, and count what there is of it."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):  # noqa: PTH110 - a name the kernel gives
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} x {name}"


def print_heading(runs: int) -> None:
    """Say when and on what this was measured."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {platform.system()} {platform.release()}; {processor()}")
    print(f"{platform.python_implementation()} {platform.python_version()}, trio {trio.__version__}")
    print(f"limit {AT_ONCE}, event limit {AT_ONCE}; medians of {runs} runs\n")


def print_costs(costs: dict[Case, Cost]) -> None:
    """Print a line for each case."""
    print(f"{'':44}{'CPU, µs a task':>16}{'peak RSS, MB':>16}")
    for case, cost in costs.items():
        print(f"{title(case):44}{cost.microseconds:16.1f}{cost.megabytes:16.1f}")


def print_ratios(costs: dict[Case, Cost]) -> bool:
    """Print what matters of the costs, and return whether it is as promised."""
    bare = costs[Case("trio alone", MANY)].microseconds
    one_host = costs[Case("hosts", MANY, 1)]
    kept = True
    print()
    for way in ("stream", "run"):
        cost = costs[Case(way, MANY)]
        growth = cost.megabytes - costs[Case(way, FEW)].megabytes
        fine = cost.microseconds <= MOST_MICROSECONDS and growth <= MOST_GROWTH
        kept = kept and fine
        print(
            f"{way}: {cost.microseconds:.1f} µs a task (at most {MOST_MICROSECONDS:.0f}), "
            f"{cost.microseconds / bare:.1f} times trio alone; {growth:+.1f} MB from {FEW:,} to {MANY:,} events "
            f"(at most {MOST_GROWTH:.0f}): {'kept' if fine else 'BROKEN'}"
        )
        if million := costs.get(Case(way, MILLION)):
            print(f"{way}: {million.megabytes - cost.megabytes:+.1f} MB from {MANY:,} to {MILLION:,} events")
    for case in (case for case in costs if case.hosts > 1):
        more = costs[case].megabytes - one_host.megabytes
        print(
            f"{case.hosts:,} hosts: {costs[case].microseconds / one_host.microseconds:.1f} times the CPU of one host, "
            f"{more:+.1f} MB, {more / case.hosts * 1024:.2f} KB a host"
        )
    return kept


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(description="what the engine alone costs")
    parser.add_argument("--runs", type=int, default=3, help="how often each case is run (default: 3)")
    parser.add_argument("--million", action="store_true", help=f"{MILLION:,} events too")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(Case(*json.loads(options.case)))))
        return 0
    print_heading(options.runs)
    costs = measure_all(choose_cases(million=options.million), options.runs)
    print_costs(costs)
    return 0 if print_ratios(costs) else 1


if __name__ == "__main__":
    sys.exit(main())
