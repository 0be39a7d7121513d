"""How jobs end, for how long they are known then, and in which order they are forgotten."""

from __future__ import annotations

from scrapeengine.model.job import JobStatus
from scrapeengine.stores.rows import Row
from scrapeengine.stores.shelf import Shelf

__all__ = ["end", "forget", "known"]

_AT_ONCE = 1000
"""How many expired jobs one call clears away at most; the others are not known either, and go with the next calls."""


def known(shelf: Shelf, platform: str, id: str) -> Row | None:
    """Return a job that has not expired."""
    row = shelf.jobs.find(platform, id)
    return None if row is None or row.expired(shelf.now) else row


def end(shelf: Shelf, row: Row, status: JobStatus, keep: float = 0.0, accepted: int | None = None) -> None:
    """End a job.

    Args:
        shelf: where it is.
        row: the job, pending.
        status: how it ends.
        keep: seconds for which it stays known at least.
        accepted: the token whose completion ends it, if one does.
    """
    now = shelf.now
    shelf.jobs.change(
        row,
        status=status,
        due=None,
        token=0,
        owner=None,
        accepted=row.accepted if accepted is None else accepted,
        finished=now,
        free=now + keep,
        expires=now + max(keep, shelf.settings.keep),
    )


def forget(shelf: Shelf) -> None:
    """Drop what has expired, and what is too much by now."""
    for row in shelf.jobs.expired(shelf.now, _AT_ONCE):
        shelf.jobs.drop(row)
    excess = shelf.jobs.total(pending=False) - shelf.settings.most_kept
    if excess > 0:
        for row in shelf.jobs.droppable(shelf.now, excess):
            shelf.jobs.drop(row)
