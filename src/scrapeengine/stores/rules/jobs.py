"""Rules by which jobs come in, are looked at and called off, and are completed with all that belongs to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import (
    Completion,
    Delivery,
    JobStatus,
    Kept,
    Known,
    NewJob,
    QueueStatistics,
    Reply,
    StoredJob,
)
from scrapeengine.stores.rules.beside import remember
from scrapeengine.stores.rules.leasing import end, forget, known, promote
from scrapeengine.stores.rules.rows import Row, Texts, new_row, stored
from scrapeengine.stores.rules.tables import Tables

__all__ = ["cancel", "complete", "enqueue", "get", "position", "stats"]

_APART = 0.001
"""Seconds by which a job that recurs is moved on when its time is another's on the same platform."""


def enqueue(tables: Tables, jobs: Sequence[NewJob]) -> list[Known]:
    """Add jobs, all or none."""
    room = tables.policy.max_pending - tables.jobs.total(pending=True)
    if len(jobs) > room:
        fresh = {(job.platform, job.id) for job in jobs if known(tables, job.platform, job.id) is None}
        if len(fresh) > room:
            raise StoreFull(
                f"{tables.policy.max_pending - room:,} jobs are pending and {len(fresh):,} more are too many: "
                f"enqueue them when some have ended, or open the store with full='wait' or with a larger max_pending"
            )
    answers = [_offer(tables, job) for job in jobs]
    forget(tables)
    return answers


def _admit(tables: Tables, job: NewJob) -> Row | None:
    """Add a job, whether or not there is room; None if it is known."""
    row = tables.jobs.find(job.platform, job.id)
    if row is not None:
        if not row.expired(tables.now):
            return None
        tables.jobs.drop(row)
    row = new_row(job, tables.now, tables.jobs.next_seq())
    tables.jobs.add(row, Texts(job.payload))
    return row


def get(tables: Tables, platform: str, id: str) -> StoredJob | None:
    """Return a job as it is."""
    row = known(tables, platform, id)
    return None if row is None else stored(row, tables.jobs.texts(row), tables.moment)


def cancel(tables: Tables, platform: str, id: str) -> bool:
    """Call a pending job off."""
    row = known(tables, platform, id)
    if row is None or not row.status.pending:
        return False
    end(tables, row, JobStatus.CANCELLED)
    forget(tables)
    return True


def position(tables: Tables, platform: str, id: str) -> int | None:
    """Count the ready jobs before a ready one."""
    row = tables.jobs.find(platform, id)
    if row is None or row.status is not JobStatus.READY:
        return None
    return tables.jobs.before(row)


def stats(tables: Tables) -> dict[str, QueueStatistics]:
    """Count the jobs of each platform, by what is true now."""
    promote(tables)
    forget(tables)
    counts = tables.jobs.counts()
    found = {}
    for platform in sorted(counts):
        numbers = {status.value: n for status, n in counts[platform].items() if n}
        if numbers:
            since = tables.jobs.oldest(platform)
            oldest = None if since is None else max(0.0, tables.now - since)
            found[platform] = QueueStatistics(**numbers, oldest=oldest)
    return found


def _offer(tables: Tables, job: NewJob) -> Known:
    row = _admit(tables, job)
    if row is not None:
        return Known(new=True, job=stored(row, Texts(job.payload), tables.moment))
    row = tables.jobs.find(job.platform, job.id)
    assert row is not None
    if job.cadence is not None and row.status.pending:
        tables.jobs.change(row, cadence=job.cadence)
    return Known(new=False, job=stored(row, tables.jobs.texts(row), tables.moment))


def complete(tables: Tables, completions: Sequence[Completion]) -> list[Reply]:
    """End jobs, or let them wait for their next time."""
    replies = [_complete(tables, completion) for completion in completions]
    forget(tables)
    return replies


def _complete(tables: Tables, completion: Completion) -> Reply:
    ticket, platform, token = completion.ticket, completion.ticket.platform, completion.ticket.token
    row = known(tables, platform, ticket.id)
    if row is None:
        return Reply.LOST
    if token and row.accepted == token:
        return Reply.ALREADY  # it is told once more, since the first reply was not heard
    if not row.held_by(token, tables.awake):
        return Reply.LOST
    tables.jobs.write(row, completion.result, completion.error, completion.history)
    if row.cadence is not None:
        # Who has it in hand may not know yet that it recurs: it is looked at again, and then it is known.
        _recur(tables, row, tables.now + (completion.again or 0.0), token)
    else:
        end(tables, row, completion.status, completion.keep, token)
    for job in completion.follow_ups:
        _admit(tables, job)
    for url, validator in completion.validators.items():
        remember(tables, platform, url, validator)
    if completion.outcome is not None:
        kept = Kept(Delivery(*ticket), completion.outcome)
        tables.outbox.put(kept, tables.awake + completion.deliver)
    return Reply.OK


def _recur(tables: Tables, row: Row, due: float, token: int) -> None:
    while tables.jobs.delayed_at(row.platform, due):
        due = max(due + _APART, math.nextafter(due, math.inf))  # a sum alone may leave a large float as it is
    tables.jobs.change(
        row,
        status=JobStatus.DELAYED,
        due=due,
        seq=tables.jobs.next_seq(),
        token=0,
        owner=None,
        accepted=token,
        attempts=0,
        finished=tables.now,
    )
