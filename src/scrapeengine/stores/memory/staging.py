"""Jobs on their way in, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import attrs

from scrapeengine.model.job import NewJob
from scrapeengine.stores.rules.tables import Batch

__all__ = ["DictStagingTable"]


@attrs.define(eq=False, repr=False)
class DictStagingTable:
    """Batches, and the jobs of each by their places, in order."""

    _batches: dict[int, Batch] = attrs.field(factory=dict, init=False)
    _jobs: dict[int, dict[int, NewJob]] = attrs.field(factory=dict, init=False)
    _last: int = attrs.field(default=0, init=False)
    _coming: int = attrs.field(default=0, init=False)

    def batch(self, number: int) -> Batch | None:
        """See `StagingTable`."""
        return self._batches.get(number)

    def batches(self) -> list[Batch]:
        """See `StagingTable`."""
        return list(self._batches.values())

    def set_batch(self, batch: Batch) -> None:
        """See `StagingTable`."""
        self._batches[batch.number] = batch
        self._jobs.setdefault(batch.number, {})

    def drop_batch(self, number: int) -> None:
        """See `StagingTable`."""
        self._batches.pop(number, None)
        self._jobs.pop(number, None)

    def put(self, number: int, first: int, jobs: Sequence[NewJob]) -> None:
        """See `StagingTable`."""
        self._jobs[number].update(enumerate(jobs, first))

    def take(self, number: int, first: int, n: int) -> dict[int, NewJob]:
        """See `StagingTable`."""
        jobs = self._jobs.get(number, {})
        return {place: jobs.pop(place) for place in range(first, first + n) if place in jobs}

    def take_first(self, number: int, n: int, size: int) -> dict[int, NewJob]:
        """See `StagingTable`."""
        jobs, found = self._jobs.get(number, {}), dict[int, NewJob]()
        for place in list(islice(jobs, n)):
            if size <= 0:
                break
            found[place] = jobs.pop(place)
            size -= len(found[place].payload)
        return found

    def next_number(self) -> int:
        """See `StagingTable`."""
        self._last += 1
        return self._last

    def coming(self, n: int = 0) -> int:
        """See `StagingTable`."""
        self._coming += n
        return self._coming
