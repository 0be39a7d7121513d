"""Rules by which a large number of jobs comes in: in parts, none of which is a job before all are there.

    begin ──> put ──> put ──> … ──> take ──> settle ──> settle ──> …
      └── its owner is dead, or gives it up: clear ──> clear ──> …

What was put is nobody's but its owner's, who says again and again that it lives. With `take` all of them are in the
store, whatever becomes of the owner; `settle` makes jobs of them, a part at a time, by whoever comes. So no step holds
the file for longer than a part takes, and none is seen before the last one was there.

Rejected: to put them among the jobs with a status of their own, and to change that of all in one step. It would be a
step as long as the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from scrapeengine.errors import StoreError
from scrapeengine.model.job import Known, NewJob, QueueStatistics
from scrapeengine.stores.rules.jobs import becomes_pending, full, offer
from scrapeengine.stores.rules.jobs import stats as counted
from scrapeengine.stores.rules.leasing import due as ready
from scrapeengine.stores.rules.leasing import forget, known
from scrapeengine.stores.rules.rows import Texts, new_row, stored
from scrapeengine.stores.rules.tables import Batch, Tables

__all__ = ["SIZE", "begin", "clear", "due", "put", "settle", "settle_any", "stats", "take"]

SIZE = 256 * 1024
"""The characters of payloads at which a step takes no more jobs, which takes some milliseconds then."""
_AT_ONCE = 1000
"""The most jobs of the dead that one call clears away."""
_GIVEN_UP = -math.inf
"""When the owner of a batch is taken for dead that is being cleared away."""
_ALIVE = 60.0
"""Seconds after which an owner that says nothing is taken for dead."""


def begin(tables: Tables) -> int:
    """Begin a batch, and return its number."""
    for batch in tables.staging.batches():
        if batch.taken is None and batch.until <= tables.awake:
            tables.staging.set_batch(batch._replace(until=_GIVEN_UP))  # an owner that was slow must not go on with it
            clear(tables, batch.number, _AT_ONCE)
    number = tables.staging.next_number()
    tables.staging.set_batch(Batch(number, tables.awake + _ALIVE))
    return number


def put(
    tables: Tables,
    number: int,
    first: int,
    jobs: Sequence[NewJob],
    before: AbstractSet[tuple[str, str]] = frozenset(),
) -> set[tuple[str, str]]:
    """Add a part of a batch; return the keys of those that will be one more pending job each.

    Args:
        tables: where to.
        number: the batch's.
        first: the place of the first of these jobs in it.
        jobs: the jobs.
        before: these keys of all parts before.

    Raises:
        StoreFull: there is no room for so many by now, and nobody is to wait for it.
    """
    _live(tables, number)
    found = ((job, known(tables, job.platform, job.id)) for job in jobs)
    more = {(job.platform, job.id) for job, row in found if becomes_pending(job, row)}
    if tables.policy.full == "raise":
        _check_room(tables, len(before) + len(more - before))
    tables.staging.put(number, first, jobs)
    return more


def take(tables: Tables, number: int, more: int, size: int, *, replace: bool) -> float:
    """Let all of a batch be in the store from now on, if there is room for so many more; return when that was."""
    batch = _live(tables, number)
    _check_room(tables, more)
    tables.staging.set_batch(batch._replace(taken=tables.now, replace=replace))
    tables.staging.coming(size)
    return tables.now


def settle(tables: Tables, number: int, first: int, jobs: Sequence[NewJob], taken: float) -> list[Known]:
    """Make jobs of a part of a batch, as its owner, who knows what they are; others may have done so before."""
    batch = tables.staging.batch(number)
    left = {} if batch is None else tables.staging.take(number, first, len(jobs))
    answers = []
    for place, job in enumerate(jobs, first):
        if place in left:
            answers.append(offer(tables, job, taken, replace=batch is not None and batch.replace))
            continue
        row = known(tables, job.platform, job.id)
        if row is None:  # it has come, ended and gone
            row, texts = new_row(job, taken, 0), Texts(job.payload)
        else:
            texts = tables.jobs.texts(row)
        answers.append(Known(new=row.enqueued == taken, job=stored(row, texts, tables.moment)))
    tables.staging.coming(-len(left))
    return answers


def settle_any(tables: Tables, n: int) -> bool:
    """Make jobs of up to `n` that were taken, whosever they are; whether there are more."""
    for batch in tables.staging.batches():
        if batch.taken is None:
            continue
        left = tables.staging.take_first(batch.number, n, SIZE)
        for job in left.values():
            offer(tables, job, batch.taken, replace=batch.replace)
        tables.staging.coming(-len(left))
        if not left:
            tables.staging.drop_batch(batch.number)
        return True
    return False


def due(tables: Tables, until: float | None, n: int) -> list[str]:
    """Make ready what is due, and up to `n` jobs of what was taken."""
    if settle_any(tables, n):
        tables.marks.soonest = min(tables.marks.soonest, tables.awake)  # whoever waits looks again at once
    return ready(tables, until)


def stats(tables: Tables, n: int) -> dict[str, QueueStatistics]:
    """Count the jobs of each platform, and make up to `n` of what was taken."""
    settle_any(tables, n)
    return counted(tables)


def clear(tables: Tables, number: int, n: int) -> bool:
    """Take back up to `n` jobs of a batch that was not taken, or forget one that is settled; whether more are left."""
    batch = tables.staging.batch(number)
    if batch is None:
        return False
    if tables.staging.take_first(number, n, SIZE):
        return True
    tables.staging.drop_batch(number)
    forget(tables)
    return False


def _check_room(tables: Tables, more: int) -> None:
    pending = tables.jobs.total(pending=True) + tables.staging.coming()
    if more > tables.policy.max_pending - pending:
        raise full(pending, more)


def _live(tables: Tables, number: int) -> Batch:
    batch = tables.staging.batch(number)
    if batch is None or batch.taken is not None or batch.until == _GIVEN_UP:
        raise StoreError("the jobs came too slowly to be enqueued together; nothing was enqueued, call again")
    batch = batch._replace(until=tables.awake + _ALIVE)
    tables.staging.set_batch(batch)
    return batch
