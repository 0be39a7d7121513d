"""Rules by which programs look through jobs, run those again that have fallen short, and forget those that have ended.

Of many, one call does a part, and says where the next one is to go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from scrapeengine.model.job import JobStatus, StoredJob
from scrapeengine.stores.rules.leasing import arrive
from scrapeengine.stores.rules.rows import Row, stored
from scrapeengine.stores.rules.tables import Tables

__all__ = ["Done", "again_behind", "again_of", "forget_behind", "forget_of", "holding", "page"]


class Done(NamedTuple):
    """What one call has done."""

    jobs: int
    """The number of them."""
    last: tuple[str, str] | None
    """The platform and id behind which the next call goes on; None: there is nothing more."""


def page(
    tables: Tables, statuses: Collection[JobStatus], platform: str | None, after: tuple[str, str] | None, n: int
) -> list[StoredJob]:
    """List the first `n` jobs behind a platform and id that are known."""
    found: list[StoredJob] = []
    rows: list[Row] = []
    while len(found) < n and (rows := tables.jobs.listed(statuses, platform, after, n)):
        found += [stored(row, tables.jobs.texts(row), tables.moment) for row in rows if not row.expired(tables.now)]
        after = (rows[-1].platform, rows[-1].id)
    return found[:n]


def holding(tables: Tables, statuses: Collection[JobStatus]) -> list[str]:
    """Name the platforms that have jobs with one of some statuses."""
    return sorted({name for status in statuses for name in tables.jobs.platforms(status)})


def again_behind(
    tables: Tables, statuses: Collection[JobStatus], platform: str | None, after: tuple[str, str] | None, n: int
) -> Done:
    """Run jobs again: those of the first `n` behind a platform and id that are known."""
    rows = tables.jobs.listed(statuses, platform, after, n)
    return Done(_again(tables, rows), _last(rows, n))


def again_of(tables: Tables, statuses: Collection[JobStatus], keys: Iterable[tuple[str, str]]) -> int:
    """Run certain jobs again."""
    return _again(tables, _of(tables, statuses, keys))


def forget_behind(
    tables: Tables, statuses: Collection[JobStatus], platform: str | None, after: tuple[str, str] | None, n: int
) -> Done:
    """Forget jobs: those of the first `n` behind a platform and id."""
    rows = tables.jobs.listed(statuses, platform, after, n)
    return Done(_forget(tables, rows), _last(rows, n))


def forget_of(tables: Tables, statuses: Collection[JobStatus], keys: Iterable[tuple[str, str]]) -> int:
    """Forget certain jobs."""
    return _forget(tables, _of(tables, statuses, keys))


def _of(tables: Tables, statuses: Collection[JobStatus], keys: Iterable[tuple[str, str]]) -> list[Row]:
    found = (tables.jobs.find(*key) for key in keys)
    return [row for row in found if row is not None and row.status in statuses]


def _last(rows: list[Row], n: int) -> tuple[str, str] | None:
    return (rows[-1].platform, rows[-1].id) if len(rows) == n else None


def _again(tables: Tables, rows: Iterable[Row]) -> int:
    count = 0
    for row in rows:
        if not row.expired(tables.now):
            arrive(tables, row, enqueued=tables.now, attempts=0, free=None, expires=None)
            count += 1
    return count


def _forget(tables: Tables, rows: Iterable[Row]) -> int:
    known = 0
    for row in rows:
        known += not row.expired(tables.now)
        tables.jobs.drop(row)
    return known
