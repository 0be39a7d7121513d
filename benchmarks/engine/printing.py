"""What is said of what was measured: the promises, and four tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.engine.cases import COMPARED, HOSTS, MEMORY, PLATFORMS, WAYS, Case
from benchmarks.engine.measuring import Figures, Job
from benchmarks.tables import Promise, print_table, spread

__all__ = ["Results", "print_compared", "print_hosts", "print_memory", "print_platforms", "promises"]

Results = Mapping[Case, Sequence[Figures]]
"""What was measured of each case, round by round; a case that could not be measured is not in it."""

MOST_MICROSECONDS, AIMED_MICROSECONDS = 100, 60
"""The CPU time of a task that is promised, and the one that is aimed at."""
MOST_GROWTH = 20
"""The promised memory in MB that `MANY` events take more than `FEW`."""
FEW, MANY = 10_000, 1_000_000
FROM_HOSTS = 10_000
"""How many hosts there must be before the memory of one can be told from noise."""


def promises(results: Results) -> list[Promise]:
    """Say what is promised, and what was measured of it."""
    cpu = [_cpu_promise(results, case) for case in COMPARED if case.way in {"stream", "run"}]
    return [*cpu, *(_growth_promise(results, way) for way in ("stream", "run"))]


def _cpu_promise(results: Results, case: Case) -> Promise:
    what = f"{WAYS[case.way].title}, {case.job.events:,} tasks that do nothing: CPU time of a task"
    promised, aim = f"≤ {MOST_MICROSECONDS} µs", f"≤ {AIMED_MICROSECONDS} µs"
    if case not in results:
        return Promise(what, "not measured", promised, aim)
    taken = [figures.microseconds for figures in results[case]]
    kept, reached = median(taken) <= MOST_MICROSECONDS, median(taken) <= AIMED_MICROSECONDS
    return Promise(what, f"{spread(taken, '.1f')} µs", promised, aim, kept, reached)


def _growth_promise(results: Results, way: str) -> Promise:
    what = f"{WAYS[way].title}, {MANY:,} events: peak memory beyond that of {FEW:,}"
    promised = f"≤ {MOST_GROWTH} MB"
    growth = _growth(results, Case(way, Job(MANY)))
    if growth is None:
        return Promise(what, "not measured", promised)
    return Promise(what, f"{growth:+.1f} MB", promised, kept=growth <= MOST_GROWTH)


def print_compared(results: Results) -> None:
    """Print the engine beside its peers."""
    print(
        "Tasks that let others run once, 50 at a time. The peers do less than the engine: none has platforms, outcomes "
        "for tasks that raise, deadlines, retries or limits that change. `gather` hands out its results at the end, "
        "all together; the others hand them out one by one, `Engine.run` to nobody.\n"
    )
    (engine, *_) = COMPARED
    print_table(
        ("", "events", "CPU, µs a task", "times `stream`", "peak memory, MB"),
        [
            (
                WAYS[case.way].title,
                f"{case.job.events:,}",
                _microseconds(results, case),
                _times(results, case, engine),
                _megabytes(results, case),
            )
            for case in COMPARED
            if case in results
        ],
    )


def print_platforms(results: Results) -> None:
    """Print what a task costs where each event is run on several platforms."""
    print("CPU time of a task, in µs, where each event is run on several platforms, with a limit for each:\n")
    print_table(
        ("platforms", "`Engine.stream`", "`asyncio.gather`, a semaphore each", "anyio on trio, a limiter each"),
        [(str(count), *(_microseconds(results, case) for case in cases)) for count, cases in PLATFORMS.items()],
    )


def print_memory(results: Results) -> None:
    """Print the peak memory by the number of events."""
    print(f"Peak memory of the process, in MB of 10^6 bytes, and in brackets what is beyond that of {FEW:,} events:\n")
    ways = ("stream", "run", "gather")
    rows = []
    for events in MEMORY:
        cases = [Case(way, Job(events)) for way in ways]
        rows.append((f"{events:,}", *(_grown(results, case) for case in cases)))
    print_table(("events", *(WAYS[way].title for way in ways)), rows)


def print_hosts(results: Results) -> None:
    """Print what hosts cost, each of which is a platform."""
    one = HOSTS[1]
    print(
        f"`Engine.stream` over {one.job.events:,} events whose URLs are on many hosts in turn, each of them a platform."
        " A host that has nothing to do, and of which nothing is to be remembered, is forgotten; the bytes are what is"
        " beyond the memory of one host, divided by all hosts:\n"
    )
    rows = []
    for hosts, case in HOSTS.items():
        each = ""
        if hosts >= FROM_HOSTS and case in results and one in results:
            more = _median_megabytes(results, case) - _median_megabytes(results, one)
            each = f"{more * 1e6 / hosts:,.0f}"
        measured = _microseconds(results, case), _times(results, case, one), _megabytes(results, case)
        rows.append((f"{hosts:,}", *measured, each))
    print_table(("hosts", "CPU, µs a task", "times one host", "peak memory, MB", "bytes a host"), rows)


def _microseconds(results: Results, case: Case) -> str:
    return spread((figures.microseconds for figures in results[case]), ".1f") if case in results else ""


def _megabytes(results: Results, case: Case) -> str:
    return spread((figures.megabytes for figures in results[case]), ",.1f") if case in results else ""


def _median_megabytes(results: Results, case: Case) -> float:
    return median(figures.megabytes for figures in results[case])


def _times(results: Results, case: Case, other: Case) -> str:
    """Compare the CPU time of a task with another case's, round by round."""
    pairs = zip(results.get(case, ()), results.get(other, ()), strict=False)
    times = [mine.microseconds / its.microseconds for mine, its in pairs]
    return spread(times, ".2f") if times else ""


def _growth(results: Results, case: Case) -> float | None:
    """Return the memory beyond that of few events."""
    few = case._replace(job=Job(FEW))
    if case not in results or few not in results:
        return None
    return _median_megabytes(results, case) - _median_megabytes(results, few)


def _grown(results: Results, case: Case) -> str:
    growth = _growth(results, case)
    if growth is None or case.job.events == FEW:
        return _megabytes(results, case)
    return f"{_median_megabytes(results, case):,.1f} ({growth:+,.1f})"
