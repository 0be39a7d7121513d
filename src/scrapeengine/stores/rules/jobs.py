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
from scrapeengine.stores.rules.leasing import arrive, clear, end, forget, in_hand, known, promote
from scrapeengine.stores.rules.rows import Row, Texts, new_row, stored
from scrapeengine.stores.rules.tables import SharedGate, Tables

__all__ = ["becomes_pending", "cancel", "complete", "enqueue", "full", "get", "offer", "position", "stats"]

_OPEN = SharedGate()
_APART = 0.001
"""Seconds by which a job that recurs is moved on when its time is another's on the same platform."""


def enqueue(tables: Tables, jobs: Sequence[NewJob], *, replace: bool = False) -> list[Known]:
    """Add jobs, all or none."""
    room = tables.policy.max_pending - tables.jobs.total(pending=True) - tables.staging.coming()
    if len(jobs) > room:
        fresh = {(job.platform, job.id) for job in jobs if becomes_pending(job, known(tables, job.platform, job.id))}
        if len(fresh) > room:
            raise full(tables.policy.max_pending - room, len(fresh))
    answers = [offer(tables, job, tables.now, replace=replace) for job in jobs]
    forget(tables)
    return answers


def full(pending: int, more: int) -> StoreFull:
    """Make the error of who wants to enqueue more than there is room for."""
    return StoreFull(
        f"{pending:,} jobs are pending and {more:,} more are too many: enqueue them when some have ended, or open the "
        f"store with full='wait' or with a larger max_pending"
    )


def becomes_pending(job: NewJob, row: Row | None) -> bool:
    """Say whether there is one pending job more once a job is enqueued, where it is known as this row."""
    return row is None or row.status.fell_short or (job.cadence is not None and not row.status.pending)


def _follow(tables: Tables, job: NewJob, *, going: bool) -> None:
    """Add a job that a task has found, whether or not there is room, unless it is known, failed or not.

    Ten thousand pages link to one that is not there: it is asked for once. While a crawl goes on what it has seen is
    known, however much or long ago that was.
    """
    row = tables.jobs.find(job.platform, job.id)
    if row is not None and not row.expired(tables.now):
        if not row.followed:
            tables.jobs.change(row, followed=True)
    elif not (going and ((row is not None and row.followed) or tables.seen.has(job.platform, job.id))):
        _add(tables, job, row, tables.now, followed=True)


def _add(tables: Tables, job: NewJob, before: Row | None, at: float, *, followed: bool = False) -> Row:
    """Add a job that was enqueued at a time, in the place of one that is over."""
    row = new_row(job, at, tables.jobs.next_seq())
    row.followed = followed
    if before is not None:
        row.followed = followed or before.followed
        if not before.expired(tables.now):
            row.accepted = before.accepted  # whoever has completed it, and did not hear the reply, may ask again
        tables.jobs.drop(before)
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
    """Count the jobs of each platform, by what is true now; and name those that are paused or closed."""
    promote(tables)
    forget(tables)
    counts, recurring = tables.jobs.counts(), tables.jobs.recur()
    shut = tables.sharing.shut(tables.awake)
    found = {}
    for platform in sorted(counts.keys() | shut.keys()):
        numbers = {status.value: n for status, n in counts.get(platform, {}).items() if n}
        if numbers or platform in shut:
            since = tables.jobs.oldest(platform)
            gate = shut.get(platform, _OPEN)
            found[platform] = QueueStatistics(
                **numbers,
                recurring=recurring.get(platform, 0),
                oldest=None if since is None else max(0.0, tables.now - since),
                paused=gate.paused,
                closed=0.0 if gate.closed_until is None else max(0.0, gate.closed_until - tables.awake),
            )
    return found


def offer(tables: Tables, job: NewJob, at: float, *, replace: bool) -> Known:
    """Add a job that was enqueued at a time, or say what is known of it."""
    row = tables.jobs.find(job.platform, job.id)
    if row is None or row.expired(tables.now) or row.status.fell_short:
        row = _add(tables, job, row, at)
        return Known(new=True, job=stored(row, Texts(job.payload), tables.moment))
    if job.cadence not in {None, row.cadence} or (job.cadence is not None and not row.status.pending):
        _change_cadence(tables, row, job)
    replaced = replace and row.status in {JobStatus.READY, JobStatus.DELAYED}
    if replaced:
        _replace(tables, row, job)
    return Known(new=False, job=stored(row, tables.jobs.texts(row), tables.moment), replaced=replaced)


def _change_cadence(tables: Tables, row: Row, job: NewJob) -> None:
    """Let a job that is known recur by another cadence from now on."""
    now, recurred = tables.now, row.cadence is not None
    tables.jobs.change(row, cadence=job.cadence)
    # A store does not look into cadences: when it is due by the new one, who has written it has to say.
    latest = None if job.interval is None or row.finished is None else row.finished + job.interval
    if not row.status.pending:
        tables.jobs.change(row, status=JobStatus.DELAYED, due=now, free=None, expires=None, attempts=0)
        _put_off(tables, row, max(now + job.delay, latest or now), now + job.delay)
    elif row.status is JobStatus.LEASED:
        tables.jobs.change(row, within=job.interval)
    elif latest is not None and recurred and _waits_for_more_than(row, latest):
        _put_off(tables, row, max(now, latest), now)


def _waits_for_more_than(row: Row, at: float) -> bool:
    """Say whether a job waits for its next time, and that is later; not one that was given back until a time."""
    return row.status is JobStatus.DELAYED and row.owner is None and row.due is not None and row.due > at


def _replace(tables: Tables, row: Row, job: NewJob) -> None:
    """Give a job that nobody has in hand new data, and another place in time."""
    tables.jobs.rewrite(row, job.payload)
    if job.delay > 0:
        due, seq = tables.now + job.delay, tables.jobs.next_seq()
        tables.jobs.change(row, status=JobStatus.DELAYED, due=due, seq=seq, owner=None, priority=job.priority)
    elif row.status is JobStatus.DELAYED:
        arrive(tables, row, priority=job.priority)
    else:
        tables.jobs.change(row, priority=job.priority)


def _put_off(tables: Tables, row: Row, due: float, soonest: float) -> None:
    """Let a delayed job that recurs wait until a time at the latest, and at least until another one."""
    if due <= tables.now:
        arrive(tables, row)
    else:
        due = _apart(tables, row.platform, due, soonest, due)
        tables.jobs.change(row, due=due, seq=tables.jobs.next_seq())


def _apart(tables: Tables, platform: str, due: float, soonest: float, latest: float) -> float:
    """Return the time that is next to `due` and no other job's: behind it, else before it, else `due` itself."""
    if not tables.jobs.delayed_at(platform, due):
        return due
    for step in (_APART, -_APART):
        at = _moved(due, step)
        while soonest <= at <= latest:
            if not tables.jobs.delayed_at(platform, at):
                return at
            at = _moved(at, step)
    return due


def _moved(at: float, step: float) -> float:
    moved = at + step
    return moved if moved != at else math.nextafter(at, math.copysign(math.inf, step))  # of a large float


def complete(tables: Tables, completions: Sequence[Completion]) -> list[Reply]:
    """End jobs, or let them wait for their next time."""
    # Before: with the last of these jobs a crawl may end, and what that one leads to still belongs to it.
    going = tables.jobs.crawling() > 0
    replies = [_complete(tables, completion, going=going) for completion in completions]
    forget(tables)
    return replies


def _complete(tables: Tables, completion: Completion, *, going: bool) -> Reply:
    ticket, platform, token = completion.ticket, completion.ticket.platform, completion.ticket.token
    row = in_hand(tables, ticket)
    if row is None or row.expired(tables.now):
        return Reply.LOST
    if token and row.accepted == token:
        return Reply.ALREADY  # it is told once more, since the first reply was not heard
    if not row.held_by(token, tables.awake):
        return Reply.LOST
    tables.jobs.write(row, completion.result, completion.error, completion.history)
    if row.cadence is not None and not completion.ends:
        # Who has it in hand may not know yet that it recurs: it is looked at again, and then it is known.
        again = completion.again or 0.0
        least, most = completion.between or (again, math.inf)
        if row.within is not None:
            again, least, most = min(again, row.within), min(least, row.within), min(most, row.within)
        now = tables.now
        _recur(tables, row, _apart(tables, row.platform, now + again, now + least, now + most), token)
    else:
        end(tables, row, completion.status, completion.keep, token)
    for job in completion.follow_ups:
        _follow(tables, job, going=going)
    for url, validator in completion.validators.items():
        remember(tables, platform, url, validator)
    if completion.outcome is not None:
        kept = Kept(Delivery(*ticket), completion.outcome)
        tables.outbox.put(kept, tables.awake + completion.deliver, tables.opening)
    return Reply.OK


def _recur(tables: Tables, row: Row, due: float, token: int) -> None:
    clear(tables, row)
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
        within=None,
    )
