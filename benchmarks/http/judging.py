"""How the engine stands to its peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchmarks.http.cases import AIMS, CASES, HEADLINE, Aim
from benchmarks.http.measuring import Figures
from benchmarks.http.running import Key, Results, middle
from benchmarks.tables import Promise

__all__ = ["judge"]


class Ratio(NamedTuple):
    """How many times the requests of a peer the engine makes."""

    rate: float
    """By the clock: what is promised."""
    cpu: float
    """By CPU time: what it is if both have their core to themselves."""

    def reaches(self, least: float) -> bool | None:
        """Judge by both: where they disagree, the machine was not quiet, and nothing can be said."""
        return None if (self.rate >= least) != (self.cpu >= least) else self.rate >= least


def judge(results: Results, tasks: Iterable[int]) -> Iterator[Promise]:
    """Say for each promise and aim, for these numbers of tasks, what was measured of it."""
    for aim in AIMS:
        for count in tasks:
            if aim.tasks in (None, count):
                yield _judged(aim, count, results)


def _judged(aim: Aim, tasks: int, results: Results) -> Promise:
    what = f"{tasks} requests at once, of {CASES[aim.peer].title}"
    bound = f"≥ {aim.times:g} times"
    bounds = {"promised": bound} if aim.promised else {"aim": bound}
    place, _ = HEADLINE
    ours, theirs = Key("engine", tasks, place), Key(aim.peer, tasks, place)
    for key in (ours, theirs):
        if key not in results.taken:
            why = results.missing.get(key, "not asked for")
            return Promise(what, f"not measured: {why}", **bounds)
    ratio = _ratio(results.taken[ours], results.taken[theirs])
    measured = f"{ratio.rate:.2f} (by CPU time {ratio.cpu:.2f})"
    return Promise(what, measured, **bounds, kept=ratio.reaches(aim.times))


def _ratio(ours: list[Figures], theirs: list[Figures]) -> Ratio:
    mine, other = middle(ours), middle(theirs)
    return Ratio(mine.rate / other.rate, other.microseconds / mine.microseconds)
