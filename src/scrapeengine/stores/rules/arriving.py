"""How jobs come in, are looked at, and are called off."""

from __future__ import annotations

from collections.abc import Sequence

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import JobStatus, Known, NewJob, QueueStatistics, StoredJob
from scrapeengine.stores.rules.forgetting import end, forget, known
from scrapeengine.stores.rules.leasing import promote
from scrapeengine.stores.rules.rows import Row, Texts, new_row, stored
from scrapeengine.stores.rules.tables import Tables

__all__ = ["admit", "cancel", "enqueue", "get", "position", "stats"]


def enqueue(tables: Tables, jobs: Sequence[NewJob]) -> list[Known]:
    """Add jobs, all or none."""
    room = tables.settings.most_pending - tables.jobs.total(pending=True)
    if len(jobs) > room:
        fresh = {(job.platform, job.id) for job in jobs if known(tables, job.platform, job.id) is None}
        if len(fresh) > room:
            raise StoreFull(
                f"{tables.settings.most_pending - room:,} jobs are pending and {len(fresh):,} more are too many: "
                f"enqueue them when some have ended, or open the store with full='wait' or with a larger most_pending"
            )
    answers = [_offer(tables, job) for job in jobs]
    forget(tables)
    return answers


def admit(tables: Tables, job: NewJob) -> Row | None:
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
    row = admit(tables, job)
    if row is not None:
        return Known(new=True, job=stored(row, Texts(job.payload), tables.moment))
    row = tables.jobs.find(job.platform, job.id)
    assert row is not None
    if job.cadence is not None and row.status.pending:
        tables.jobs.change(row, cadence=job.cadence)
    return Known(new=False, job=stored(row, tables.jobs.texts(row), tables.moment))
