"""Rules by which jobs become ready, are leased and given back, end, and are forgotten: each step between statuses.

Whatever counts or lists what is true now first makes ready what is due (`promote`); whatever adds or ends a job clears
away what has expired (`forget`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from scrapeengine.decide.poison import LIVED, LONG, PAUSE, is_suspect, not_before
from scrapeengine.model.job import Claimed, JobStatus, Reply, Ticket
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.rules import beside
from scrapeengine.stores.rules.rows import Row, place
from scrapeengine.stores.rules.tables import Tables

__all__ = [
    "arrive",
    "claim",
    "clear",
    "due",
    "end",
    "forget",
    "hasten",
    "in_hand",
    "known",
    "lapse",
    "next_time",
    "promote",
    "release",
    "renew",
    "restart",
]

_AT_ONCE = 1000
"""The most jobs that are in memory at once while they become ready."""
_CLEARED = 1000
"""The most expired jobs that one call clears away; the others are not known either, and go with the next calls."""


# -- ready, leased, given back


def promote(tables: Tables, until: float | None = None) -> None:
    """Make ready what is due, and what a lease has ended of."""
    _lapse(tables, tables.awake)
    at = tables.now if until is None else min(until, tables.now)
    while rows := tables.jobs.due(at, _AT_ONCE):
        for row in rows:
            arrive(tables, row)


def _lapse(tables: Tables, at: float) -> None:
    """Make ready what a lease has ended of by a time."""
    while rows := tables.jobs.lapsed(at, _AT_ONCE):
        for row in rows:
            lapse(tables, row)


def lapse(tables: Tables, row: Row) -> None:
    """Make a job ready whose lease is over, where it stood."""
    tables.jobs.change(row, status=JobStatus.READY, due=None, token=0, owner=None)
    _left(tables, row)


def _left(tables: Tables, row: Row) -> None:
    """Tell who waits that another suspect may be tried, where one was in hand and is not any more."""
    if row.deaths:
        tables.marks.stirred = True


def clear(tables: Tables, row: Row) -> None:
    """Hold no death against a job any more, which has come to an end of its own."""
    if row.deaths:
        tables.jobs.change(row, deaths=0)
        tables.marks.stirred = True


def due(tables: Tables, until: float | None) -> list[str]:
    """Make ready what is due, and name the platforms that have ready jobs."""
    promote(tables, until)
    forget(tables)
    beside.clear(tables)
    tables.marks.seen, tables.marks.version = None, tables.version
    return sorted(tables.jobs.platforms(JobStatus.READY))


def hasten(tables: Tables, ids: Collection[str] | None) -> int:
    """Make delayed jobs that recur ready now."""
    rows = tables.jobs.recurring(ids)
    for row in rows:
        arrive(tables, row)
    return len(rows)


def claim(
    tables: Tables, platform: str, n: int, owner: str, lease: float, ids: Collection[str] | None
) -> list[Claimed]:
    """Lease the most urgent of the ready jobs."""
    if tables.marks.seen is not None:
        tables.marks.seen.add(platform)
    rows = _claimable(tables, platform, n, ids)
    until, opening = tables.awake + lease, tables.opening if rows else None
    return [_lease(tables, row, owner, until, opening) for row in rows]


def renew(tables: Tables, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
    """Let leases end later, or sooner."""
    return [_renew(tables, ticket, tables.awake + lease) for ticket in tickets]


def release(tables: Tables, tickets: Sequence[Ticket], delay: float, *, died: bool = False) -> list[Reply]:
    """Give jobs back; where their scrapers end the process, that counts against each."""
    return [_release(tables, ticket, delay, died=died) for ticket in tickets]


def arrive(tables: Tables, row: Row, **values: Any) -> None:
    """Make a job ready behind all that are, and set other fields of it."""
    tables.jobs.change(
        row, **{"status": JobStatus.READY, "due": None, "owner": None, "seq": tables.jobs.next_seq()} | values
    )


def _claimable(tables: Tables, platform: str, n: int, ids: Collection[str] | None) -> list[Row]:
    """List the first `n` jobs that may be run now: of all suspects one, and that only if none is in hand."""
    if ids is None:
        rows = tables.jobs.ready(platform, n)
        suspect = tables.jobs.suspected(platform)
    else:
        found = [row for row in (tables.jobs.find(platform, each) for each in set(ids)) if row is not None]
        found = sorted((row for row in found if row.status is JobStatus.READY), key=place)
        rows = [row for row in found if not is_suspect(row.deaths)]
        suspect = min((row for row in found if is_suspect(row.deaths)), key=lambda row: row.deaths, default=None)
    if suspect is not None and _may_be_tried(tables, suspect):
        rows = sorted([*rows, suspect], key=place)
    return rows[:n]


def _may_be_tried(tables: Tables, suspect: Row) -> bool:
    """Say whether no other suspect is in hand, none that has died less often is to be tried before, and it is time."""
    if tables.jobs.is_tried() or not_before(suspect.deaths, suspect.died, tables.began) > tables.awake:
        return False
    first = tables.jobs.suspected(None)
    return first is None or suspect.deaths <= first.deaths or _waited(suspect) <= tables.awake


def _waited(suspect: Row) -> float:
    return -math.inf if suspect.died is None else suspect.died + PAUSE


def next_time(tables: Tables) -> float:
    """Return when, by `awake`, something may be claimed that cannot be now, if nobody changes anything."""
    at = tables.jobs.next_time(tables.moment.asleep)
    times = [math.inf if at is None else at]
    if tables.jobs.suspects():
        deaths = [(tables.jobs.died(tables.awake - seconds), seconds) for seconds in (PAUSE, LONG)]
        times += [died + seconds for died, seconds in deaths if died is not None]
        times += [tables.began + LIVED] if tables.began + LIVED > tables.awake else []
    return min(times)


def _lease(tables: Tables, row: Row, owner: str, until: float, opening: int | None) -> Claimed:
    """Lease a ready job; one that is damaged too, so that who has it ends it, and all hear of that."""
    texts = tables.jobs.texts(row)
    token = tables.jobs.next_token()
    tables.jobs.change(
        row,
        status=JobStatus.LEASED,
        due=until,
        token=token,
        owner=owner,
        opening=opening,
        attempts=row.attempts + 1,
        within=None,  # whoever has it from here on knows the cadence that it has by now
    )
    return Claimed(
        ticket=Ticket(row.platform, row.id, token),
        payload=texts.payload,
        priority=row.priority,
        attempts=row.attempts,
        enqueued=tables.moment.shown(row.enqueued),
        cadence=row.cadence,
        history=texts.history,
        deaths=row.deaths,
        damage=texts.error if texts.damaged else None,
    )


def in_hand(tables: Tables, ticket: Ticket) -> Row | None:
    """Return the job of a ticket, in whatever state; by its lease, where its name does not lead to it.

    A damaged index may lead astray whoever looks for a job by its name, and for jobs beside it too.
    """
    row = tables.jobs.find(ticket.platform, ticket.id)
    if row is not None and ticket.token in {row.token, row.accepted}:
        return row
    return tables.jobs.leased(ticket) or row


def _renew(tables: Tables, ticket: Ticket, until: float) -> Reply:
    row = in_hand(tables, ticket)
    if row is None or not row.held_by(ticket.token, tables.awake):
        return Reply.LOST
    tables.jobs.change(row, due=until)
    return Reply.OK


def _release(tables: Tables, ticket: Ticket, delay: float, *, died: bool) -> Reply:
    row = in_hand(tables, ticket)
    if row is None or not row.held_by(ticket.token, tables.awake):
        return Reply.LOST
    tables.jobs.change(
        row,
        status=JobStatus.DELAYED if delay > 0 else JobStatus.READY,
        due=tables.now + delay if delay > 0 else None,
        token=0,
        owner=row.owner if delay > 0 else None,
        attempts=row.attempts - (not died),  # as if it had not been claimed
        deaths=row.deaths + died,
        died=tables.awake if died else row.died,
    )
    _left(tables, row)
    return Reply.OK


# -- ended, and forgotten


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
    clear(tables, row)
    tables.jobs.change(
        row,
        status=status,
        due=None,
        token=0,
        owner=None,
        accepted=row.accepted if accepted is None else accepted,
        finished=now,
        free=now + keep,
        expires=now + max(keep, tables.policy.keep),
    )


def forget(tables: Tables) -> None:
    """Drop what has expired, and what is too much by now."""
    going = tables.jobs.crawling() > 0
    if not going:
        tables.seen.turn(_CLEARED)
    for row in tables.jobs.expired(tables.now, _CLEARED):
        _drop(tables, row, going=going)
    excess = tables.jobs.total(pending=False) - tables.policy.max_kept
    if excess > 0:
        for row in tables.jobs.droppable(tables.now, excess):
            _drop(tables, row, going=going)


def _drop(tables: Tables, row: Row, *, going: bool) -> None:
    """Forget a job; of one that a task has led to not the id while a crawl goes on, or the crawl would not end."""
    if going and row.followed:
        tables.seen.add(row.platform, row.id)
    tables.jobs.drop(row)


# -- another boot


def restart(tables: Tables, before: Moment) -> None:
    """Go on by another clock than the one by which the tables were used up to a moment.

    Whoever has leased jobs, locks, slots or outcomes is gone, and by no fault of any job. Penalties are not over, and
    start times that were given may have been used: what was left of them and has not passed since is left.
    """
    _lapse(tables, math.inf)
    tables.jobs.pardon()
    for batch in tables.staging.batches():
        tables.staging.set_batch(batch._replace(until=tables.awake))
    moved = before.asleep - tables.moment.asleep
    tables.outbox.release(moved, tables.awake)
    beside.restart(tables, moved)
