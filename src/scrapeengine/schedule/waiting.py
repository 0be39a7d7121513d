"""How a running task waits: for its turn in the rate, for the end of a penalty or of a backoff, and without a slot."""

from __future__ import annotations

import trio

from scrapeengine.decide.rate import Booking
from scrapeengine.errors import PlatformClosed
from scrapeengine.schedule.lane import ForeignRequest, Lane, TaskRecord
from scrapeengine.schedule.scheduler import Scheduler

__all__ = ["apart", "go", "go_abroad", "impatience", "rest", "turn", "turn_abroad"]

_WAY = 0.02
"""The seconds that a task whose turn has come may take to its request."""


def go(record: TaskRecord, *, first: bool) -> bool:
    """Start a request now: by what was booked, past an empty line, or in a turn just passed. False: it may not.

    It must be sent without a checkpoint: a booking that was made before is checked once more here, against rate and
    penalty as they are now.

    Args:
        record: the task.
        first: whether it is no retry.

    Raises:
        RuntimeError: the task has ended.
    """
    if record not in record.lane.records:
        raise _ended()
    if record.parked_since is not None:
        return False
    booked, record.booked = record.booked, None
    return _start(record.lane, booked, first=first)


def go_abroad(record: TaskRecord, there: Lane, *, first: bool) -> bool:
    """Start a request on another platform now, as `go` does on the task's own."""
    if record not in record.lane.records:
        raise _ended()
    if record.parked_since is not None:
        return False
    right, record.right = record.right, None
    return _start(there, right[1] if right is not None and right[0].gate is there.gate else None, first=first)


def _start(lane: Lane, booked: Booking | None, *, first: bool) -> bool:
    gate, now = lane.gate, trio.current_time()
    started = booked is not None and gate.use(booked, now)
    if not started and (_just_begun(booked, now) or not (lane.returning or lane.foreign_requests)):
        started = gate.opens_at(now) <= now and gate.use(gate.rate_limiter.book(), now)
    if not started:
        return False
    if first:
        gate.budget.request(now)
    return True


def _just_begun(booked: Booking | None, now: float) -> bool:
    """Say whether its turn had come, and passed before the loop came to it: it need not stand in line again.

    A booking lapses after one interval, and where that is shorter than the way to the request, every booking does: of
    those that wait for one another none would ever go.
    """
    return booked is not None and booked.begun is not None and now < booked.begun + _WAY


async def turn(scheduler: Scheduler, record: TaskRecord, after: float = 0.0, *, ahead: bool = False) -> None:
    """Wait, parked, until `after` seconds have passed and a request is booked; `go` uses it.

    Args:
        scheduler: the run's.
        record: the task.
        after: seconds.
        ahead: whether it goes to the head of the line: it has waited there before.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.
        RuntimeError: the task has ended.

    Checkpoint. If cancelled, nothing is booked; the task has its slot again, unless it is the task or the run that is
    cancelled.
    """
    _check(record, record.lane)
    async with _Parked(scheduler, record):
        if after > 0:
            await trio.sleep(after)
        await _turn(scheduler, record, first=ahead)
    record.begin()


async def turn_abroad(
    scheduler: Scheduler, record: TaskRecord, there: Lane, after: float = 0.0, *, ahead: bool = False
) -> None:
    """Wait, parked, for a request on another platform, as `turn` does on the task's own.

    The task comes back to its own slot: the other platform's limit counts its own tasks. What was booked there may have
    lapsed by then. So who comes again (`ahead`) waits at the head of that line with its slot, for one interval of that
    rate at most, unless the platform has closed.
    """
    _check(record, there)
    booked = await _booked_there(scheduler, record, there, ForeignRequest(seated=True), ahead=True) if ahead else None
    if booked is not None:
        record.right = (there, booked)
        return
    async with _Parked(scheduler, record):
        if after > 0:
            await trio.sleep(after)
        booked = await _booked_there(scheduler, record, there, ForeignRequest(), ahead=ahead)
    assert booked is not None
    record.right = (there, booked)
    try:
        # The way back to its slot was shielded: who gave up meanwhile must not send what it waited for.
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        record.right = None
        _give_back(scheduler, there, booked)
        raise


async def _booked_there(
    scheduler: Scheduler, record: TaskRecord, there: Lane, foreign_request: ForeignRequest, *, ahead: bool
) -> Booking | None:
    """Stand in another platform's line until a request is booked. If cancelled, nothing is.

    None: the platform has closed, and who holds a slot must not wait for it.
    """
    try:
        while foreign_request.booked is None:
            _check(record, there)
            if foreign_request.seated and there.gate.closed(trio.current_time()):
                return None
            foreign_request.wake = trio.Event()
            (there.foreign_requests.appendleft if ahead else there.foreign_requests.append)(foreign_request)
            scheduler.kick(there)
            scheduler.settle()
            await foreign_request.wake.wait()
    except BaseException:
        if foreign_request in there.foreign_requests:
            there.foreign_requests.remove(foreign_request)
        if foreign_request.booked is not None:
            _give_back(scheduler, there, foreign_request.booked)
        raise
    return foreign_request.booked


def _give_back(scheduler: Scheduler, there: Lane, booked: Booking) -> None:
    there.gate.rate_limiter.give_back(booked)
    scheduler.kick(there)
    scheduler.settle()


async def apart(scheduler: Scheduler, record: TaskRecord, until: trio.Event) -> None:
    """Park a task until an event is set.

    Raises:
        RuntimeError: the task has ended.

    Checkpoint. If cancelled, the task has its slot again, unless it is the task or the run that is cancelled.
    """
    if record not in record.lane.records:
        raise _ended()
    async with _Parked(scheduler, record):
        await until.wait()


async def rest(scheduler: Scheduler, record: TaskRecord, seconds: float) -> None:
    """Park a task for some time, and book a request for it as for one that starts.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.

    Checkpoint. If cancelled, the task has its slot again, unless it is the task or the run that is cancelled.
    """
    async with _Parked(scheduler, record):
        await trio.sleep(seconds)
        await _turn(scheduler, record, first=False)
    record.begin()


def impatience(lane: Lane, now: float) -> PlatformClosed:
    """Make the error of a task that would have to wait for too long."""
    seconds = lane.gate.penalty.until - now
    return PlatformClosed(
        f"{lane.name!r} asked not to be called for another {seconds:.0f} s, which is more than its "
        f"Retry(patience={lane.policy.retry.patience:g}); run the event again after that",
        seconds=seconds,
    )


def _check(record: TaskRecord, lane: Lane) -> None:
    """Refuse to wait for what will not come."""
    now = trio.current_time()
    if record not in record.lane.records:
        raise _ended()
    if not lane.patient(now):
        raise impatience(lane, now)


def _ended() -> RuntimeError:
    return RuntimeError("the task has ended; make its requests while its scraper runs")


async def _turn(scheduler: Scheduler, record: TaskRecord, *, first: bool) -> None:
    """Wait in the lane's line until slots and booking are given."""
    lane = record.lane
    while record.parked_since is not None:
        _check(record, lane)
        given = scheduler.queue_up(record, lane.returning, first=first)
        scheduler.settle()
        if not given.is_set():
            await given.wait()


class _Parked:
    """The time without a slot. Control goes back to the scraper only with a slot, whatever ends the wait."""

    def __init__(self, scheduler: Scheduler, record: TaskRecord) -> None:
        self._scheduler = scheduler
        self._record = record

    async def __aenter__(self) -> None:
        self._scheduler.leave(self._record)
        self._scheduler.settle()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        scheduler, record = self._scheduler, self._record
        if error is not None and record.booked is not None:
            # Whoever comes next need not wait until it would have lapsed.
            record.lane.gate.rate_limiter.give_back(record.booked)
            record.booked = None
            scheduler.kick(record.lane)
            scheduler.settle()
        if record.parked_since is None or record not in record.lane.records:
            return
        line = record.lane.returning
        if record in line:
            line.remove(record)
        # A scope of the scraper's own has cancelled the wait, or the platform has closed for too long. The scraper
        # goes on, so it needs its slot; only the end of the task or of the run lets it go on without.
        with trio.CancelScope(shield=True):
            if not (scheduler.aborted or record.scope.cancel_called):
                given = scheduler.queue_up(record, record.lane.landing)
                scheduler.settle()
                if not given.is_set():
                    await given.wait()
