"""Which of many tasks a timeline shows: as many as there is room for, whatever comes. Pure.

There are four reasons to be shown, each with its own room, of which none takes another's:

- the slowest, in a heap;
- failures, of which each is as likely as another once there are more than fit (a reservoir);
- the first and the last of each kind, for as many kinds as fit;
- of all tasks each is as likely as another (a second reservoir).

A task may be there for several reasons, and is shown once. The reservoirs are Li's Algorithm L ("Reservoir-Sampling
Algorithms of Time Complexity O(n(1 + log(N/n)))", ACM TOMS 20, 1994): it knows beforehand how many come before the next
one that is taken, so that of a million tasks most cost one comparison.

Rejected: to keep the first so many, which shows how a run began; a share of all, which has no bound.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from itertools import chain

import attrs

from scrapeengine.model.history import Bar

__all__ = ["BarChoice", "Reservoir"]


@attrs.define(eq=False)
class Reservoir:
    """A sample of bars in which each that was seen is as likely as another."""

    room: int
    random: Callable[[], float]
    """Returns a number from 0 up to 1, each as likely as another."""
    kept: list[Bar] = attrs.field(factory=list, init=False)
    _seen: int = attrs.field(default=0, init=False)
    _next: int = attrs.field(default=0, init=False)
    """The number of the next one that is taken, once it is full."""
    _weight: float = attrs.field(default=1.0, init=False)

    def add(self, bar: Bar) -> None:
        """See one more."""
        self._seen += 1
        if len(self.kept) < self.room:
            self.kept.append(bar)
            if len(self.kept) == self.room:
                self._skip()
        elif self._seen == self._next:
            self.kept[int(self.random() * self.room)] = bar
            self._skip()

    def _skip(self) -> None:
        # 1 - random() is never 0, whose logarithm there is not.
        self._weight *= math.exp(math.log(1 - self.random()) / self.room)
        left = math.log1p(-self._weight) if self._weight < 1 else -math.inf
        steps = math.log(1 - self.random()) / left if left else math.inf
        self._next = self._seen + 1 + int(min(steps, 2.0**60))


class BarChoice:
    """The bars of one run."""

    def __init__(self, most: int, random: Callable[[], float]) -> None:
        """Make it.

        Args:
            most: how many are shown; of 5,000 the slowest 200, 1,000 failures and the first and last of a hundred
                kinds, and of another number as large a share.
            random: as for `Reservoir`.
        """
        self._slow = most * 200 // 5_000
        self._kinds = most * 100 // 5_000
        failures = most * 1_000 // 5_000
        self._slowest: list[tuple[float, int, Bar]] = []
        """A heap, the least slow first; the number keeps those that are as slow as another in their order."""
        self._failures = Reservoir(failures, random)
        self._sample = Reservoir(most - self._slow - failures - 2 * self._kinds, random)
        self._firsts: dict[tuple[str, str], Bar] = {}
        self._lasts: dict[tuple[str, str], Bar] = {}
        self._counts: dict[str, int] = {}
        self._seen = 0

    def add(self, bar: Bar) -> None:
        """See a task that has ended."""
        self._seen += 1
        kind, slowest = (bar.kind, bar.error), self._slowest
        self._counts[bar.kind] = self._counts.get(bar.kind, 0) + 1
        if kind in self._lasts:
            self._lasts[kind] = bar
        elif len(self._firsts) < self._kinds:
            self._firsts[kind] = self._lasts[kind] = bar
        if len(slowest) < self._slow:
            heapq.heappush(slowest, (bar.ran, self._seen, bar))
        elif slowest and bar.ran > slowest[0][0]:
            heapq.heapreplace(slowest, (bar.ran, self._seen, bar))
        if bar.kind == "failed" and self._failures.room:
            self._failures.add(bar)
        if self._sample.room:
            self._sample.add(bar)

    def chosen(self) -> tuple[Bar, ...]:
        """Return those that are shown, in the order of their ends. From any thread."""
        slowest = [bar for _, _, bar in self._slowest.copy()]
        ends = [*self._firsts.copy().values(), *self._lasts.copy().values()]
        once = {id(bar): bar for bar in chain(slowest, ends, self._failures.kept.copy(), self._sample.kept.copy())}
        return tuple(sorted(once.values(), key=lambda bar: bar.ended))

    def left_out(self, chosen: tuple[Bar, ...]) -> dict[str, int]:
        """Count all others, by how they ended. From any thread."""
        shown = Counter(bar.kind for bar in chosen)
        left = {kind: count - shown[kind] for kind, count in self._counts.copy().items()}
        return {kind: count for kind, count in sorted(left.items()) if count > 0}

    def __repr__(self) -> str:
        """Count what was seen."""
        return f"<BarChoice of {self._seen} tasks>"
