"""How jobs come in, are looked at, and are called off."""

from __future__ import annotations

from collections.abc import Sequence

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import JobStatus, Known, NewJob, QueueStatistics, StoredJob
from scrapeengine.stores.rows import Row, Texts, new_row, stored
from scrapeengine.stores.rules.forgetting import end, forget, known
from scrapeengine.stores.rules.leasing import promote
from scrapeengine.stores.shelf import Shelf

__all__ = ["admit", "cancel", "enqueue", "get", "position", "stats"]


def enqueue(shelf: Shelf, jobs: Sequence[NewJob]) -> list[Known]:
    """Add jobs, all or none."""
    room = shelf.settings.most_pending - shelf.jobs.total(pending=True)
    if len(jobs) > room:
        fresh = {(job.platform, job.id) for job in jobs if known(shelf, job.platform, job.id) is None}
        if len(fresh) > room:
            raise StoreFull(
                f"{shelf.settings.most_pending - room:,} jobs are pending and {len(fresh):,} more are too many: "
                f"enqueue them when some have ended, or open the store with full='wait' or with a larger most_pending"
            )
    answers = [_offer(shelf, job) for job in jobs]
    forget(shelf)
    return answers


def admit(shelf: Shelf, job: NewJob) -> Row | None:
    """Add a job, whether or not there is room; None if it is known."""
    row = shelf.jobs.find(job.platform, job.id)
    if row is not None:
        if not row.expired(shelf.now):
            return None
        shelf.jobs.drop(row)
    row = new_row(job, shelf.now, shelf.jobs.next_seq())
    shelf.jobs.add(row, Texts(job.payload))
    return row


def get(shelf: Shelf, platform: str, id: str) -> StoredJob | None:
    """Return a job as it is."""
    row = known(shelf, platform, id)
    return None if row is None else stored(row, shelf.jobs.texts(row), shelf.moment)


def cancel(shelf: Shelf, platform: str, id: str) -> bool:
    """Call a pending job off."""
    row = known(shelf, platform, id)
    if row is None or not row.status.pending:
        return False
    end(shelf, row, JobStatus.CANCELLED)
    forget(shelf)
    return True


def position(shelf: Shelf, platform: str, id: str) -> int | None:
    """Count the ready jobs before a ready one."""
    row = shelf.jobs.find(platform, id)
    if row is None or row.status is not JobStatus.READY:
        return None
    return shelf.jobs.before(row)


def stats(shelf: Shelf) -> dict[str, QueueStatistics]:
    """Count the jobs of each platform, by what is true now."""
    promote(shelf)
    forget(shelf)
    counts = shelf.jobs.counts()
    found = {}
    for platform in sorted(counts):
        numbers = {status.value: n for status, n in counts[platform].items() if n}
        if numbers:
            since = shelf.jobs.oldest(platform)
            oldest = None if since is None else max(0.0, shelf.now - since)
            found[platform] = QueueStatistics(**numbers, oldest=oldest)
    return found


def _offer(shelf: Shelf, job: NewJob) -> Known:
    row = admit(shelf, job)
    if row is not None:
        return Known(new=True, job=stored(row, Texts(job.payload), shelf.moment))
    row = shelf.jobs.find(job.platform, job.id)
    assert row is not None
    if job.cadence is not None and row.status.pending:
        shelf.jobs.change(row, cadence=job.cadence)
    return Known(new=False, job=stored(row, shelf.jobs.texts(row), shelf.moment))
