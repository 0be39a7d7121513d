"""A job as a store has it, and what its changes mean to those who wait."""

from __future__ import annotations

import math

import attrs

from scrapeengine.model.job import Content, JobStatus, NewJob, StoredJob
from scrapeengine.stores.moment import Moment

__all__ = ["Marks", "Row", "Texts", "new_row", "place", "stored"]


@attrs.define(eq=False, repr=False)
class Row:
    """A job, but for its texts. Times are by the store's `now`, but for the ends of leases, which are by `awake`.

    Size: one field for each column.
    """

    platform: str
    id: str
    status: JobStatus
    priority: int
    enqueued: float
    seq: int
    """Its arrival number: what became ready first. That of a delayed job orders those that are due at one instant."""
    due: float | None = None
    """Delayed: when it becomes ready. Leased: when its lease ends."""
    cadence: str | None = None
    attempts: int = 0
    token: int = 0
    """Of the lease that it is under; 0: of none."""
    accepted: int = 0
    """Of the lease whose completion was accepted last; 0: of none."""
    owner: str | None = None
    """Leased: the holder of the lease. Delayed: who has given it back until then, if somebody has."""
    finished: float | None = None
    free: float | None = None
    """Ended: from when on it may be dropped to make room."""
    expires: float | None = None
    """Ended: until when it is known."""
    within: float | None = None
    """Leased: seconds after which it is due again at the latest, since its cadence has changed while it was in hand."""
    followed: bool = False
    """Whether a task has led to it."""
    opening: int | None = None
    """Leased: the opening of the store through which it was claimed; None: nobody can see whether that lives."""
    deaths: int = 0
    """How many deaths of processes count against it since it ended last (`decide.poison`)."""
    died: float | None = None
    """When the last of these was, by `awake`."""
    number: int = 0
    """A key of the table, if it needs one."""

    def expired(self, now: float) -> bool:
        """Say whether it has ended for so long that nobody knows it any more."""
        return self.expires is not None and self.expires <= now

    def held_by(self, token: int, awake: float) -> bool:
        """Say whether the lease with this token is good."""
        return self.status is JobStatus.LEASED and self.token == token and self.due is not None and self.due > awake


@attrs.frozen(repr=False)
class Texts:
    """Texts that are stored with a job and never looked into."""

    payload: str
    result: Content | None = None
    error: str | None = None
    history: str | None = None
    damaged: bool = False
    """Whether they are not what was written; then `error` says so, and the rest is nothing."""


@attrs.define(eq=False)
class Marks:
    """Changes that one call has made, for those who wait."""

    _asleep: float = 0.0
    """How far `now` is ahead of `awake`."""
    ready: set[str] = attrs.field(factory=set, init=False)
    """The platforms that have got a ready job."""
    soonest: float = attrs.field(default=math.inf, init=False)
    """The first of the times, by `awake`, at which something will be ready by what the call has changed."""
    freed: bool = attrs.field(default=False, init=False)
    """Whether there is more room."""
    blocked: bool = attrs.field(default=False, init=False)
    """Whether the caller was refused what others hold, who may be dead."""
    stirred: bool = attrs.field(default=False, init=False)
    """Whether all who wait are to look again, whatever they wait for."""
    seen: set[str] | None = attrs.field(factory=set, init=False)
    """The platforms whose ready jobs the caller has looked at; None: all."""
    alarm: float | None = attrs.field(default=None, init=False)
    """The next time, by `awake`, at which something becomes ready, or infinity, if the caller has looked for it."""
    version: int | None = attrs.field(default=None, init=False)
    """The number of others' changes that the caller has seen; None: it did not look."""

    def note(self, row: Row, before: JobStatus | None) -> None:
        """Note a job that has come, or has gone from a status to the one that it has now."""
        if row.status is JobStatus.READY and before is not JobStatus.READY:
            self.ready.add(row.platform)
        elif row.due is not None:
            leased = row.status is JobStatus.LEASED
            self.soonest = min(self.soonest, row.due if leased else row.due - self._asleep)
        elif before is not None and before.pending and not row.status.pending:
            self.freed = True


def new_row(job: NewJob, now: float, seq: int) -> Row:
    """Make the row of a job that is enqueued now."""
    delayed = job.delay > 0
    return Row(
        platform=job.platform,
        id=job.id,
        status=JobStatus.DELAYED if delayed else JobStatus.READY,
        priority=job.priority,
        enqueued=now,
        seq=seq,
        due=now + job.delay if delayed else None,
        cadence=job.cadence,
    )


def place(row: Row) -> tuple[int, int]:
    """Say where it stands in the queue of its platform."""
    return -row.priority, row.seq


def stored(row: Row, texts: Texts, moment: Moment) -> StoredJob:
    """Show it as it is now."""
    due = row.due
    if due is not None:
        due = moment.shown(moment.by_now(due) if row.status is JobStatus.LEASED else due)
    return StoredJob(
        platform=row.platform,
        id=row.id,
        status=row.status,
        payload=texts.payload,
        priority=row.priority,
        attempts=row.attempts,
        enqueued=moment.shown(row.enqueued),
        due=due,
        finished=None if row.finished is None else moment.shown(row.finished),
        result=texts.result,
        error=texts.error,
        recurs=row.cadence is not None,
    )
