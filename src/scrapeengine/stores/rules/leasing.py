"""How jobs become ready, are leased, and are given back."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from scrapeengine.model.job import Claimed, JobStatus, Reply, Ticket
from scrapeengine.stores.rows import Row, place
from scrapeengine.stores.rules.forgetting import forget
from scrapeengine.stores.shelf import Shelf

__all__ = ["claim", "due", "hasten", "lapse", "promote", "release", "renew"]

_AT_ONCE = 1000
"""How many jobs are in memory at once while they become ready."""


def promote(shelf: Shelf, until: float | None = None) -> None:
    """Make ready what is due, and what a lease has ended of."""
    lapse(shelf, shelf.awake)
    at = shelf.now if until is None else min(until, shelf.now)
    while rows := shelf.jobs.due(at, _AT_ONCE):
        for row in rows:
            _arrive(shelf, row)


def lapse(shelf: Shelf, at: float) -> None:
    """Make ready what a lease has ended of by a time."""
    while rows := shelf.jobs.lapsed(at, _AT_ONCE):
        for row in rows:
            shelf.jobs.change(row, status=JobStatus.READY, due=None, token=0, owner=None)


def due(shelf: Shelf, until: float | None) -> list[str]:
    """Make ready what is due, and name the platforms that have ready jobs."""
    promote(shelf, until)
    forget(shelf)
    shelf.marks.seen, shelf.marks.version = None, shelf.version
    return sorted(shelf.jobs.platforms())


def hasten(shelf: Shelf, ids: Collection[str] | None) -> int:
    """Make delayed jobs that recur ready now."""
    rows = shelf.jobs.recurring(ids)
    for row in rows:
        _arrive(shelf, row)
    return len(rows)


def claim(shelf: Shelf, platform: str, n: int, owner: str, lease: float, ids: Collection[str] | None) -> list[Claimed]:
    """Lease the most urgent of the ready jobs."""
    if shelf.marks.seen is not None:
        shelf.marks.seen.add(platform)
    rows = shelf.jobs.ready(platform, n) if ids is None else _ready_of(shelf, platform, ids)[:n]
    return [_lease(shelf, row, owner, shelf.awake + lease) for row in rows]


def renew(shelf: Shelf, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
    """Let leases end later, or sooner."""
    return [_renew(shelf, ticket, shelf.awake + lease) for ticket in tickets]


def release(shelf: Shelf, tickets: Sequence[Ticket], delay: float) -> list[Reply]:
    """Give jobs back."""
    return [_release(shelf, ticket, delay) for ticket in tickets]


def _arrive(shelf: Shelf, row: Row) -> None:
    shelf.jobs.change(row, status=JobStatus.READY, due=None, seq=shelf.jobs.next_seq())


def _ready_of(shelf: Shelf, platform: str, ids: Collection[str]) -> list[Row]:
    found = (shelf.jobs.find(platform, each) for each in set(ids))
    return sorted((row for row in found if row is not None and row.status is JobStatus.READY), key=place)


def _lease(shelf: Shelf, row: Row, owner: str, until: float) -> Claimed:
    token = shelf.jobs.next_token()
    shelf.jobs.change(row, status=JobStatus.LEASED, due=until, token=token, owner=owner, attempts=row.attempts + 1)
    texts = shelf.jobs.texts(row)
    return Claimed(
        ticket=Ticket(row.platform, row.id, token),
        payload=texts.payload,
        priority=row.priority,
        attempts=row.attempts,
        enqueued=shelf.moment.shown(row.enqueued),
        cadence=row.cadence,
        history=texts.history,
    )


def _renew(shelf: Shelf, ticket: Ticket, until: float) -> Reply:
    row = shelf.jobs.find(ticket.platform, ticket.id)
    if row is None or not row.held_by(ticket.token, shelf.awake):
        return Reply.LOST
    shelf.jobs.change(row, due=until)
    return Reply.OK


def _release(shelf: Shelf, ticket: Ticket, delay: float) -> Reply:
    row = shelf.jobs.find(ticket.platform, ticket.id)
    if row is None or not row.held_by(ticket.token, shelf.awake):
        return Reply.LOST
    shelf.jobs.change(
        row,
        status=JobStatus.DELAYED if delay > 0 else JobStatus.READY,
        due=shelf.now + delay if delay > 0 else None,
        token=0,
        owner=None,
        attempts=row.attempts - 1,
    )
    return Reply.OK
