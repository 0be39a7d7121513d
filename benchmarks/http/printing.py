"""What is said of the figures: when and on what, a table, and whether the promises are kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cases import AIMS, CASES, PROMISES, Promise
from measuring import Figures

__all__ = ["Key", "Results", "print_costs", "print_heading", "print_markdown", "print_ratios"]

FULL = 0.9
"""How much of its core a client has that waits for nothing."""


class Key(NamedTuple):
    """A case, with a number of tasks."""

    name: str
    tasks: int


Results = Mapping[Key, list[Figures]]


def processor() -> str:
    """Name the processor, and count what there is of it."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        lines = known.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} x {name}"


def print_heading(versions: Mapping[str, str], server: str, cores: str, runs: int) -> None:
    """Say when, on what and against what this was measured."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {platform.system()} {platform.release()}; {processor()}")
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{platform.python_implementation()} {platform.python_version()}; {names}")
    print(f"server: {server}, 1.3 kB of JSON over loopback, connections kept; {cores}")
    print(f"medians of {runs} runs, each in a process of its own, with the least and the most\n")


def middle(taken: Iterable[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*map(median, zip(*taken, strict=True)))


def spread(numbers: Iterable[float]) -> str:
    """Write a median, and the range that it comes from."""
    numbers = sorted(numbers)
    return f"{median(numbers):,.0f} ({numbers[0]:,.0f} to {numbers[-1]:,.0f})"


def print_costs(results: Results) -> None:
    """Print a line for each case."""
    print(f"{'tasks':>5}  {'':30}{'requests/s':>26}{'CPU, µs a request':>26}{'of a core':>11}")
    for key, taken in sorted(results.items(), key=lambda item: item[0].tasks):
        rates, costs = spread(one.rate for one in taken), spread(one.microseconds for one in taken)
        busy = middle(taken).busy
        print(f"{key.tasks:5}  {CASES[key.name].title:30}{rates:>26}{costs:>26}{busy:>11.0%}")
    if any(middle(taken).busy < FULL for taken in results.values()):
        print(
            "\nWhere a client had far less than its core, it waited for the server, or something else ran on the core:"
        )
        print("its requests/s then say less than its CPU time does.")


def print_markdown(results: Results, about: str) -> None:
    """Print the same as a table for the README, where rows are cases and columns are numbers of tasks."""
    tasks = sorted({key.tasks for key in results})
    columns = [f"{what}, {count} tasks" for count in tasks for what in ("requests/s", "CPU, µs a request")]
    print(f"\n| {about} | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name, case in CASES.items():
        if not any(key.name == name for key in results):
            continue
        cells = []
        for count in tasks:
            figures = middle(taken) if (taken := results.get(Key(name, count))) else None
            cells += [f"{figures.rate:,.0f}", f"{figures.microseconds:,.0f}"] if figures else ["", ""]
        print(f"| {case.title} | {' | '.join(cells)} |")


def print_ratios(results: Results, tasks: Iterable[int], missing: Mapping[Key, str]) -> bool:
    """Print how the engine stands to its peers, and return whether it is as promised.

    Args:
        results: what was measured.
        tasks: the numbers of tasks that were asked for.
        missing: what was to be measured and could not be, and why. A promise that hangs on it does not count as kept.

    A promise counts as kept if both the rates and the CPU times say so.
    """
    print()
    verdicts = []
    for count in tasks:
        verdicts += [_judge(promise, count, results, missing) for promise in PROMISES if promise.tasks in (None, count)]
        for aim in AIMS:
            if ratio := _ratio(aim, count, results):
                verdict = ratio.verdict(aim.times, "reached", "not yet")
                print(f"{count} tasks: {_told(aim, ratio)}, aim {aim.times:g}: {verdict}")
    return all(verdicts)


def _judge(promise: Promise, tasks: int, results: Results, missing: Mapping[Key, str]) -> bool:
    """Say whether a promise is kept; one that nobody asked about is passed over."""
    for name in ("engine", promise.peer):
        if why := missing.get(Key(name, tasks)):
            print(f"{tasks} tasks: {promise.times:g} times {CASES[promise.peer].title}: NOT MEASURED, {name}: {why}")
            return False
    ratio = _ratio(promise, tasks, results)
    if ratio is None:
        print(f"{tasks} tasks: {promise.times:g} times {CASES[promise.peer].title}: not asked for")
        return True
    verdict = ratio.verdict(promise.times, "kept", "BROKEN")
    print(f"{tasks} tasks: {_told(promise, ratio)}, at least {promise.times:g}: {verdict}")
    return verdict == "kept"


class _Ratio(NamedTuple):
    rate: float
    """The engine's rate over the peer's: what is promised."""
    cpu: float
    """The peer's CPU time over the engine's: what the ratio is if both have their core to themselves."""

    def verdict(self, least: float, fine: str, short: str) -> str:
        """Judge by both: where they disagree, the machine was not quiet, and a rate that luck made says nothing."""
        if (self.rate >= least) != (self.cpu >= least):
            return "UNCLEAR, measure again on a machine that does nothing else"
        return fine if self.rate >= least else short


def _ratio(promise: Promise, tasks: int, results: Results) -> _Ratio | None:
    ours, theirs = results.get(Key("engine", tasks)), results.get(Key(promise.peer, tasks))
    if not ours or not theirs:
        return None
    mine, other = middle(ours), middle(theirs)
    return _Ratio(mine.rate / other.rate, other.microseconds / mine.microseconds)


def _told(promise: Promise, ratio: _Ratio) -> str:
    return f"{ratio.rate:.2f} times {CASES[promise.peer].title} (by CPU time {ratio.cpu:.2f})"
