"""How the engine stands to its peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple

from benchmarks.http.cases import AIMS, CASES, COSTS, HEADLINE, Aim, Cost
from benchmarks.http.measuring import Figures
from benchmarks.http.running import Key, Results
from benchmarks.tables import Promise, spread

__all__ = ["judge"]


class Ratios(NamedTuple):
    """How many times the requests of a peer the engine makes, in each round in which both ran."""

    rate: list[float]
    """By the clock: what is promised."""
    cpu: list[float]
    """By CPU time: what it is if both have their core to themselves."""

    def reaches(self, least: float) -> bool | None:
        """Judge by both medians: where they disagree, the machine was not quiet, and nothing can be said."""
        by_clock, by_cpu = median(self.rate) >= least, median(self.cpu) >= least
        return None if by_clock != by_cpu else by_clock


def judge(results: Results, tasks: Iterable[int]) -> Iterator[Promise]:
    """Say for each promise and aim, for these numbers of tasks, what was measured of it."""
    for aim in AIMS:
        for count in tasks:
            if aim.tasks in (None, count):
                yield _judged(aim, count, results)
    for cost in COSTS:
        yield _weighed(cost, results)


def _judged(aim: Aim, tasks: int, results: Results) -> Promise:
    what = f"{tasks} requests at once, of {CASES[aim.peer].title}"
    bound = f"≥ {aim.times:g} times"
    bounds = {"promised": bound} if aim.promised else {"aim": bound}
    place, _ = HEADLINE
    ours, theirs = Key(aim.ours, tasks, place), Key(aim.peer, tasks, place)
    for key in (ours, theirs):
        if key not in results.taken:
            why = results.missing.get(key, "not asked for")
            return Promise(what, f"not measured: {why}", **bounds)
    ratios = _ratios(results.taken[ours], results.taken[theirs])
    measured = f"{spread(ratios.rate, '.2f')}; by CPU time {median(ratios.cpu):.2f}"
    return Promise(what, measured, **bounds, kept=ratios.reaches(aim.times))


def _weighed(cost: Cost, results: Results) -> Promise:
    """Say what a request of ours costs beside another one, by CPU time in the same round."""
    bound, (place, _) = f"≤ {cost.most:g} times", HEADLINE
    keys = [Key(name, tasks, place) for name, tasks in (cost.ours, cost.than)]
    for key in keys:
        if key not in results.taken:
            return Promise(cost.what, f"not measured: {results.missing.get(key, 'not asked for')}", aim=bound)
    pairs = zip(*(results.taken[key] for key in keys), strict=False)
    ratios = [mine.microseconds / other.microseconds for mine, other in pairs]
    return Promise(cost.what, spread(ratios, ".2f"), aim=bound, kept=median(ratios) <= cost.most)


def _ratios(ours: list[Figures], theirs: list[Figures]) -> Ratios:
    """Compare what was measured in the same round; a peer that takes very long has only the first."""
    pairs = list(zip(ours, theirs, strict=False))
    return Ratios(
        [mine.rate / other.rate for mine, other in pairs],
        [other.microseconds / mine.microseconds for mine, other in pairs],
    )
