"""How jobs end, for how long they are known then, and in which order they are forgotten."""

from __future__ import annotations

from scrapeengine.model.job import JobStatus
from scrapeengine.stores.rules.rows import Row
from scrapeengine.stores.rules.tables import Tables

__all__ = ["end", "forget", "known"]

_AT_ONCE = 1000
"""How many expired jobs one call clears away at most; the others are not known either, and go with the next calls."""


def known(tables: Tables, platform: str, id: str) -> Row | None:
    """Return a job that has not expired."""
    row = tables.jobs.find(platform, id)
    return None if row is None or row.expired(tables.now) else row


def end(tables: Tables, row: Row, status: JobStatus, keep: float = 0.0, accepted: int | None = None) -> None:
    """End a job.

    Args:
        tables: where it is.
        row: the job, pending.
        status: how it ends.
        keep: seconds for which it stays known at least.
        accepted: the token whose completion ends it, if one does.
    """
    now = tables.now
    tables.jobs.change(
        row,
        status=status,
        due=None,
        token=0,
        owner=None,
        accepted=row.accepted if accepted is None else accepted,
        finished=now,
        free=now + keep,
        expires=now + max(keep, tables.settings.keep),
    )


def forget(tables: Tables) -> None:
    """Drop what has expired, and what is too much by now."""
    for row in tables.jobs.expired(tables.now, _AT_ONCE):
        tables.jobs.drop(row)
    excess = tables.jobs.total(pending=False) - tables.settings.most_kept
    if excess > 0:
        for row in tables.jobs.droppable(tables.now, excess):
            tables.jobs.drop(row)
