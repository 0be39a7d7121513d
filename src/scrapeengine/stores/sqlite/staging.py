"""Jobs on their way in, in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from scrapeengine.model.job import NewJob
from scrapeengine.stores.rules.tables import Batch
from scrapeengine.stores.sqlite.driver import fetch
from scrapeengine.stores.sqlite.sums import Sums

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["SqlStagingTable"]

_BATCHES = "batches"
_PLACES = 2**32
"""The places of a batch: one number tells batch and place."""


@attrs.frozen
class SqlStagingTable:
    """Batches, and their jobs. How many batches there are is a sum, so that nobody asks where there is none."""

    _db: Connection
    _sums: Sums

    def batch(self, number: int) -> Batch | None:
        """See `StagingTable`."""
        return next((batch for batch in self.batches() if batch.number == number), None)

    def batches(self) -> list[Batch]:
        """See `StagingTable`."""
        if not self._sums.number(_BATCHES):
            return []
        rows = fetch(self._db, "SELECT number, until, taken, replaces FROM batches ORDER BY number")
        return [Batch(number, until, taken, bool(replaces)) for number, until, taken, replaces in rows]

    def set_batch(self, batch: Batch) -> None:
        """See `StagingTable`."""
        if self.batch(batch.number) is None:
            self._sums.add(_BATCHES, 1)
        self._db.execute("REPLACE INTO batches VALUES (?, ?, ?, ?)", (*batch[:3], int(batch.replace)))

    def drop_batch(self, number: int) -> None:
        """See `StagingTable`."""
        if self.batch(number) is not None:
            self._sums.add(_BATCHES, -1)
            self._db.execute("DELETE FROM batches WHERE number = ?", (number,))

    def put(self, number: int, first: int, jobs: Sequence[NewJob]) -> None:
        """See `StagingTable`."""
        rows = (
            (
                number * _PLACES + place,
                job.platform,
                job.id,
                job.payload,
                job.priority,
                job.delay,
                job.cadence,
                job.interval,
            )
            for place, job in enumerate(jobs, first)
        )
        self._db.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def take(self, number: int, first: int, n: int) -> dict[int, NewJob]:
        """See `StagingTable`."""
        return self._take(number, first, first + n, n, math.inf)

    def take_first(self, number: int, n: int, size: int) -> dict[int, NewJob]:
        """See `StagingTable`."""
        return self._take(number, 0, _PLACES, n, size)

    def _take(self, number: int, first: int, end: int, n: int, size: float) -> dict[int, NewJob]:
        query = """SELECT place, platform, id, payload, priority, delay, cadence, interval FROM staged
            WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"""
        begin, found, last = number * _PLACES, dict[int, NewJob](), 0
        cursor = self._db.execute(query, (begin + first, begin + end, n))
        for last, *values in cursor:
            found[last - begin] = job = NewJob(*values)
            size -= len(job.payload)
            if size <= 0:
                break
        cursor.close()
        if found:
            self._db.execute("DELETE FROM staged WHERE place >= ? AND place <= ?", (begin + first, last))
        return found

    def next_number(self) -> int:
        """See `StagingTable`."""
        return self._sums.add("batch", 1)

    def coming(self, n: int = 0) -> int:
        """See `StagingTable`."""
        return self._sums.add("coming", n)
