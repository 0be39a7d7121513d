"""Measure how long the users' workloads take: `python -m benchmarks.workloads [--runs N] [--only NAME ...]`.

By models of other ways of scheduling, by the engine in virtual time and for real on loopback, and by ideal greedy
scheduling in source order, which all are measured against. Ends with 3 if a promise is broken.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.machine import choose_cores, heading, pinned, versions
from benchmarks.tables import BROKEN, Promise, print_promises, print_table, spread
from benchmarks.workloads.by_engine import really, virtually
from benchmarks.workloads.ideal import Schedule, ideal, makespan
from benchmarks.workloads.loads import LOADS, Load, tasks_of
from benchmarks.workloads.server import sites
from benchmarks.workloads.slots import by_slots
from benchmarks.workloads.ways import batches, sequential

PROMISED, AIM = 1.05, 1.02
"""The most that the engine's makespan may be, over the ideal one."""
SHORT = 12.0
"""The ideal seconds up to which a workload is run for real several times."""
SMALL = 100
"""The requests up to which a workload is drawn often."""
DRAWS_OF_SMALL, DRAWS_OF_LARGE = 100, 3
MODELS: Mapping[str, Callable[[Load], Schedule]] = {
    "one after another": sequential,
    "batches of ten": batches,
    "Scrapy's slots": by_slots,
}
VIRTUAL, REAL, IDEAL = "engine, virtual", "engine, real", "ideal"
MODELLED = """\
In virtual time: the median (and the range) of several draws of the latencies; on loopback: of runs of the first draw.

*Ideal* goes through the waiting tasks in source order at each instant, and starts each that limit, rate and event limit
let start. It is no optimum: another order may do better or worse by luck. *One after another*, *batches of ten* and
*Scrapy's slots* are models too, which cost no time of their own. Batches keep to limits and rates and have a barrier
behind each ten events; what feeds lead to comes in batches of its own. Scrapy's concurrency is the limit of each
platform, its delay the interval of the rate. The engine runs in virtual time against simulated sites, and for real
against sites of another process on loopback; what never answers is given up by the engine's own timeouts.
"""


class Measured(NamedTuple):
    """What was measured of a workload."""

    name: str
    load: Load
    """Its first draw."""
    draws: Sequence[Mapping[str, float]]
    """The seconds of all ways but the real one, for each draw."""
    real: Sequence[float]
    """The seconds of each real run of the first draw."""

    def over_ideal(self, way: str) -> list[float]:
        """Return how much longer than ideal each draw took; for the real way, each run."""
        if way == REAL:
            return [seconds / self.draws[0][IDEAL] for seconds in self.real]
        return [draw[way] / draw[IDEAL] for draw in self.draws]

    @property
    def seconds(self) -> dict[str, str]:
        """The seconds of the first draw, by way."""
        found = {way: f"{seconds:,.2f}" for way, seconds in self.draws[0].items()}
        return found | {REAL: spread(self.real, ",.2f")}


def say(text: str) -> None:
    """Tell how it goes."""
    print(text, file=sys.stderr, flush=True)


def measure_draw(load: Load) -> dict[str, float]:
    """Measure a draw by all ways but the real one."""
    found = {name: makespan(model(load)) for name, model in MODELS.items()}
    return found | {VIRTUAL: virtually(load), IDEAL: makespan(ideal(load))}


def measure(name: str, urls: Iterable[str], runs: int) -> Measured:
    """Measure a workload by all ways."""
    draw, load = LOADS[name], LOADS[name](0)
    draws = [measure_draw(load)]
    small = sum(1 for _ in tasks_of(load.events)) <= SMALL
    draws += [measure_draw(draw(number)) for number in range(1, DRAWS_OF_SMALL if small else DRAWS_OF_LARGE)]
    real = []
    for number in range(runs if draws[0][IDEAL] <= SHORT else 1):
        say(f"{name}: real run {number + 1}, about {draws[0][IDEAL]:.0f} s")
        real.append(really(load, urls))
    return Measured(name, load, draws, real)


# -- what is printed


def promises_of(one: Measured) -> Iterable[Promise]:
    """Say what is promised of a workload, and what was measured of that."""
    yield promise(f"`{one.name}`, virtual time: makespan over ideal", one.over_ideal(VIRTUAL))
    yield promise(f"`{one.name}`, on loopback: makespan over ideal", one.over_ideal(REAL))


def promise(what: str, ratios: Sequence[float]) -> Promise:
    """Judge ratios by their median."""
    middle = median(ratios)
    promised, aim = f"≤ {PROMISED:g}", f"≤ {AIM:g}"
    return Promise(what, spread(ratios, ".3f"), promised, aim, middle <= PROMISED, middle <= AIM)


def print_loads(all_of_them: Sequence[Measured]) -> None:
    """Say what the workloads are."""
    for one in all_of_them:
        print(f"- `{one.name}`: {one.load.about}.")
    print()
    rows = []
    for one in all_of_them:
        load = one.load
        limits = ", ".join(f"{limit}" for limit in sorted({each.limit for each in load.platforms.values()}))
        figures = (len(load.events), sum(1 for _ in tasks_of(load.events)), load.latencies)
        rows.append((f"`{one.name}`", *(f"{each:,.0f}" for each in figures), limits, f"{load.event_limit}"))
    print_table(("", "events", "requests", "seconds of them all", "limits", "event limit"), rows)


def print_ways(all_of_them: Sequence[Measured]) -> None:
    """Print what each way took, and how much longer than ideal that is."""
    print("Seconds of the first draw; of the real runs the median (and the range).\n")
    ways = (*MODELS, VIRTUAL, REAL, IDEAL)
    print_table(("", *ways), [(f"`{one.name}`", *(one.seconds[way] for way in ways)) for one in all_of_them])
    print(
        f"Over ideal: medians (and ranges) of {DRAWS_OF_SMALL} draws of the latencies, and of {DRAWS_OF_LARGE} where "
        f"there are more than {SMALL} requests; real runs are of the first draw.\n"
    )
    ways = (*MODELS, VIRTUAL, REAL)
    rows = [(f"`{one.name}`", *(spread(one.over_ideal(way), ".3f") for way in ways)) for one in all_of_them]
    print_table(("over ideal", *ways), rows)
    for one in all_of_them:
        ratios = one.over_ideal(VIRTUAL)
        if many := sum(ratio > PROMISED for ratio in ratios):
            print(
                f"`{one.name}` took more than {PROMISED:g} of ideal in {many} of {len(ratios)} draws in virtual time.\n"
            )


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks.workloads", description="makespans of the users' workloads")
    parser.add_argument("--runs", type=int, default=3, help="real runs of each short workload (default: 3)")
    parser.add_argument("--only", nargs="+", choices=LOADS, default=list(LOADS), metavar="NAME", help=", ".join(LOADS))
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("it takes at least 1 run")
    cores = choose_cores()
    most = max(len(draw(0).platforms) for draw in LOADS.values())
    with sites(most, cores.server) as urls, pinned(cores.client):
        measured = [measure(name, urls, options.runs) for name in options.only]
    print("## The users' workloads\n")
    print(heading(versions("scrapeengine", "trio")), f"{cores.said[0].upper()}{cores.said[1:]}.", end="\n\n")
    kept = print_promises([each for one in measured for each in promises_of(one)])
    print(MODELLED)
    print_loads(measured)
    print_ways(measured)
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
