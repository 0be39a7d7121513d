"""Waits of a running task, without its token: for its turn in the rate, for an event, for the end of a backoff.

    running ──(Parked)──> parked ──(in line: `returning`)──> running, with a request booked
                             │
                             └────(gives up: `landing`)────> running, with none

Whatever ends the wait, control goes back to the scraper only with a token; else more of them would run than may. Only
the end of the task, or of the run, lets it go on without: nothing more of it will run then.

Invariants:

- A record stands in one of its lane's lines at most, and only while it is parked: a task has one request in flight.
- Whoever sets `wake` has taken the record out of its line before. So a record that is still in line when its wait ends
  was not woken, and has nothing that it would have to give back but its place.
"""

from __future__ import annotations

import trio

from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Parked", "apart", "check", "ended", "in_line", "rest"]


@uninterrupted
class Parked:
    """The time without a token: `async with`.

    Leaving it by an exception (a scope of the scraper's own has cancelled the wait, or the platform has closed for too
    long) waits for a token, shielded, unless the task or the run is being cancelled.
    """

    def __init__(self, scheduler: Scheduler, record: TaskRecord) -> None:
        self._scheduler = scheduler
        self._record = record

    async def __aenter__(self) -> None:
        """Give the token back, and let others run in its place."""
        self._scheduler.leave(self._record)
        self._scheduler.settle()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Come back to a token."""
        scheduler, record = self._scheduler, self._record
        if error is not None and record.booked is not None:
            # Cancelled in the very turn in which it was brought back. What has not begun never lapses, and would keep
            # all others of its platform waiting.
            record.lane.gate.rate_limiter.give_back(record.booked)
            record.booked = None
            scheduler.kick(record.lane)
            scheduler.settle()
        if record.parked_since is None or record.ended:
            return  # it has its token again, or nothing of it goes on
        line = record.lane.returning
        if record in line:
            line.remove(record)
        # The scraper goes on, so it needs its token. Shielded: what has cancelled the wait would cancel this one too.
        with trio.CancelScope(shield=True):
            if not (scheduler.aborted or record.scope.cancel_called):
                given = scheduler.queue_up(record, record.lane.landing)
                scheduler.settle()
                if not given.is_set():
                    await given.wait()


async def apart(scheduler: Scheduler, record: TaskRecord, until: trio.Event) -> None:
    """Park a task until an event is set.

    Raises:
        RuntimeError: the task has ended.

    Checkpoint. If cancelled, the task has its token again, unless it is the task or the run that is cancelled.
    """
    if record.ended:
        raise ended()
    async with Parked(scheduler, record):
        await until.wait()


async def rest(scheduler: Scheduler, record: TaskRecord, seconds: float) -> None:
    """Park a task for some time, and book a request for it as for one that starts.

    Not when the run is stopping, which starts nothing any more: the task is cancelled then.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.

    Checkpoint. If cancelled, the task has its token again, unless it is the task or the run that is cancelled.
    """
    if scheduler.stopped is not None:
        record.cancel(scheduler.stopped)  # which the sleep below raises
    async with Parked(scheduler, record):
        await trio.sleep(seconds)
        await in_line(scheduler, record, first=False)
    record.begin()


async def in_line(scheduler: Scheduler, record: TaskRecord, *, first: bool, cost: int = 1) -> None:
    """Wait in the lane's line, parked, until token and booking are given.

    Args:
        scheduler: the run's.
        record: the task.
        first: whether it goes to the head of the line.
        cost: the cost of the request.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.
        RuntimeError: the task has ended.

    Checkpoint, unless both are given at once.
    """
    lane, record.cost = record.lane, cost
    # Again, for it may be woken without them: the platform has closed, and whoever is patient stands in line anew.
    while record.parked_since is not None:
        check(record, lane)
        given = scheduler.queue_up(record, lane.returning, first=first)
        scheduler.settle()
        if not given.is_set():
            await given.wait()


def check(record: TaskRecord, lane: Lane) -> None:
    """Refuse to wait for what will not come."""
    now = trio.current_time()
    if record.ended:
        raise ended()
    if not lane.patient(now):
        raise lane.impatience(now)


def ended() -> RuntimeError:
    """Make the error of a request whose task has ended."""
    return RuntimeError("the task has ended; make its requests while its scraper runs")
