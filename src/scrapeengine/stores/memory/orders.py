"""The orders in which jobs in memory are asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TypeAlias

import attrs

from scrapeengine.model.job import JobStatus
from scrapeengine.stores.memory.ordered import Ordered
from scrapeengine.stores.rules.rows import Row, place

__all__ = ["Name", "Orders", "Time"]

Name: TypeAlias = tuple[str, str]
"""A platform and an id."""
Time: TypeAlias = tuple[float, int, Name]
"""When something is to happen to a job, and its turn among those at one time."""
_Place: TypeAlias = tuple[tuple[int, int], str]
_Age: TypeAlias = tuple[float, int]


@attrs.define(eq=False, repr=False)
class Orders:
    """Each job stands where its status gives it a place. What it stands by must not change meanwhile."""

    delayed: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they are due."""
    leased: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when their leases end."""
    free: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they may be dropped."""
    expiring: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they are not known any more."""
    ready: dict[str, Ordered[_Place]] = attrs.field(factory=lambda: defaultdict(Ordered), init=False)
    """By platform, as they are to be claimed."""
    ages: dict[str, Ordered[_Age]] = attrs.field(factory=lambda: defaultdict(Ordered), init=False)
    """The ready ones by platform, by when they were enqueued."""
    dues: Counter[tuple[str, float]] = attrs.field(factory=Counter, init=False)
    """How many delayed jobs of a platform are due at one time."""

    def enter(self, row: Row) -> None:
        """Put a job into its places."""
        name = (row.platform, row.id)
        if row.status is JobStatus.READY:
            self.ready[row.platform].add((place(row), row.id))
            self.ages[row.platform].add((row.enqueued, row.seq))
        elif row.status is JobStatus.DELAYED:
            self.delayed.add((_at(row.due), row.seq, name))
            self.dues[row.platform, _at(row.due)] += 1
        elif row.status is JobStatus.LEASED:
            self.leased.add((_at(row.due), row.token, name))
        else:
            self.free.add((_at(row.free), row.seq, name))
            self.expiring.add((_at(row.expires), row.seq, name))

    def leave(self, row: Row) -> None:
        """Take a job out of its places."""
        name = (row.platform, row.id)
        if row.status is JobStatus.READY:
            self._leave_queue(row)
        elif row.status is JobStatus.DELAYED:
            self.delayed.remove((_at(row.due), row.seq, name))
            self.dues[row.platform, _at(row.due)] -= 1
            if not self.dues[row.platform, _at(row.due)]:
                del self.dues[row.platform, _at(row.due)]
        elif row.status is JobStatus.LEASED:
            self.leased.remove((_at(row.due), row.token, name))
        else:
            self.free.remove((_at(row.free), row.seq, name))
            self.expiring.remove((_at(row.expires), row.seq, name))

    def _leave_queue(self, row: Row) -> None:
        self.ready[row.platform].remove((place(row), row.id))
        self.ages[row.platform].remove((row.enqueued, row.seq))
        if not self.ready[row.platform]:
            del self.ready[row.platform], self.ages[row.platform]


def _at(time: float | None) -> float:
    assert time is not None, "the status of a job says which of its times are set"
    return time
