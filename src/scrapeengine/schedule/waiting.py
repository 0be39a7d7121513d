"""How a running task waits: for its turn in the rate, for the end of a penalty or of a backoff, and without a slot."""

from __future__ import annotations

import trio

from scrapeengine.decide.rate import Booking
from scrapeengine.errors import PlatformClosed
from scrapeengine.schedule.lane import Lane, Seat, Visitor
from scrapeengine.schedule.scheduler import Floor

__all__ = ["apart", "go", "go_abroad", "impatience", "rest", "turn", "turn_abroad"]

_WAY = 0.02
"""The seconds that a task whose turn has come may take to its request."""


def go(seat: Seat, *, first: bool) -> bool:
    """Start a request now: by what was booked, past an empty line, or in a turn just passed. False: it may not.

    It must be sent without a checkpoint: a booking that was made before is checked once more here, against rate and
    penalty as they are now.

    Args:
        seat: the task.
        first: whether it is no retry.

    Raises:
        RuntimeError: the task has ended.
    """
    if seat not in seat.lane.seats:
        raise _ended()
    if seat.parked_since is not None:
        return False
    booked, seat.booked = seat.booked, None
    return _start(seat.lane, booked, first=first)


def go_abroad(seat: Seat, there: Lane, *, first: bool) -> bool:
    """Start a request on another platform now, as `go` does on the task's own."""
    if seat not in seat.lane.seats:
        raise _ended()
    if seat.parked_since is not None:
        return False
    visa, seat.visa = seat.visa, None
    return _start(there, visa[1] if visa is not None and visa[0].gate is there.gate else None, first=first)


def _start(lane: Lane, booked: Booking | None, *, first: bool) -> bool:
    gate, now = lane.gate, trio.current_time()
    started = booked is not None and gate.use(booked, now)
    if not started and (_just_begun(booked, now) or not (lane.returning or lane.visitors)):
        started = gate.opens_at(now) <= now and gate.use(gate.meter.book(), now)
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


async def turn(floor: Floor, seat: Seat, after: float = 0.0, *, ahead: bool = False) -> None:
    """Wait, parked, until `after` seconds have passed and a request is booked; `go` uses it.

    Args:
        floor: the run's.
        seat: the task.
        after: seconds.
        ahead: whether it goes to the head of the line: it has waited there before.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.
        RuntimeError: the task has ended.

    Checkpoint. If cancelled, nothing is booked; the task has its slot again, unless it is the task or the run that is
    cancelled.
    """
    _check(seat, seat.lane)
    async with _Parked(floor, seat):
        if after > 0:
            await trio.sleep(after)
        await _turn(floor, seat, first=ahead)
    seat.begin()


async def turn_abroad(floor: Floor, seat: Seat, there: Lane, after: float = 0.0, *, ahead: bool = False) -> None:
    """Wait, parked, for a request on another platform, as `turn` does on the task's own.

    The task comes back to its own slot: the other platform's limit counts its own tasks. What was booked there may have
    lapsed by then. So who comes again (`ahead`) waits at the head of that line with its slot, for one interval of that
    rate at most, unless the platform has closed.
    """
    _check(seat, there)
    booked = await _booked_there(floor, seat, there, Visitor(seated=True), ahead=True) if ahead else None
    if booked is not None:
        seat.visa = (there, booked)
        return
    async with _Parked(floor, seat):
        if after > 0:
            await trio.sleep(after)
        booked = await _booked_there(floor, seat, there, Visitor(), ahead=ahead)
    assert booked is not None
    seat.visa = (there, booked)
    try:
        # The way back to its slot was shielded: who gave up meanwhile must not send what it waited for.
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        seat.visa = None
        _give_back(floor, there, booked)
        raise


async def _booked_there(floor: Floor, seat: Seat, there: Lane, visitor: Visitor, *, ahead: bool) -> Booking | None:
    """Stand in another platform's line until a request is booked. If cancelled, nothing is.

    None: the platform has closed, and who holds a slot must not wait for it.
    """
    try:
        while visitor.booked is None:
            _check(seat, there)
            if visitor.seated and there.gate.closed(trio.current_time()):
                return None
            visitor.wake = trio.Event()
            (there.visitors.appendleft if ahead else there.visitors.append)(visitor)
            floor.kick(there)
            floor.settle()
            await visitor.wake.wait()
    except BaseException:
        if visitor in there.visitors:
            there.visitors.remove(visitor)
        if visitor.booked is not None:
            _give_back(floor, there, visitor.booked)
        raise
    return visitor.booked


def _give_back(floor: Floor, there: Lane, booked: Booking) -> None:
    there.gate.meter.give_back(booked)
    floor.kick(there)
    floor.settle()


async def apart(floor: Floor, seat: Seat, until: trio.Event) -> None:
    """Park a task until an event is set.

    Raises:
        RuntimeError: the task has ended.

    Checkpoint. If cancelled, the task has its slot again, unless it is the task or the run that is cancelled.
    """
    if seat not in seat.lane.seats:
        raise _ended()
    async with _Parked(floor, seat):
        await until.wait()


async def rest(floor: Floor, seat: Seat, seconds: float) -> None:
    """Park a task for some time, and book a request for it as for one that starts.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.

    Checkpoint. If cancelled, the task has its slot again, unless it is the task or the run that is cancelled.
    """
    async with _Parked(floor, seat):
        await trio.sleep(seconds)
        await _turn(floor, seat, first=False)
    seat.begin()


def impatience(lane: Lane, now: float) -> PlatformClosed:
    """Make the error of a task that would have to wait for too long."""
    seconds = lane.gate.penalty.until - now
    return PlatformClosed(
        f"{lane.name!r} asked not to be called for another {seconds:.0f} s, which is more than its "
        f"Retry(patience={lane.policy.retry.patience:g}); run the event again after that",
        seconds=seconds,
    )


def _check(seat: Seat, lane: Lane) -> None:
    """Refuse to wait for what will not come."""
    now = trio.current_time()
    if seat not in seat.lane.seats:
        raise _ended()
    if not lane.patient(now):
        raise impatience(lane, now)


def _ended() -> RuntimeError:
    return RuntimeError("the task has ended; make its requests while its scraper runs")


async def _turn(floor: Floor, seat: Seat, *, first: bool) -> None:
    """Wait in the lane's line until slots and booking are given."""
    lane = seat.lane
    while seat.parked_since is not None:
        _check(seat, lane)
        given = floor.queue_up(seat, lane.returning, first=first)
        floor.settle()
        if not given.is_set():
            await given.wait()


class _Parked:
    """The time without a slot. Control goes back to the scraper only with a slot, whatever ends the wait."""

    def __init__(self, floor: Floor, seat: Seat) -> None:
        self._floor = floor
        self._seat = seat

    async def __aenter__(self) -> None:
        self._floor.leave(self._seat)
        self._floor.settle()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        floor, seat = self._floor, self._seat
        if error is not None and seat.booked is not None:
            # Whoever comes next need not wait until it would have lapsed.
            seat.lane.gate.meter.give_back(seat.booked)
            seat.booked = None
            floor.kick(seat.lane)
            floor.settle()
        if seat.parked_since is None or seat not in seat.lane.seats:
            return
        line = seat.lane.returning
        if seat in line:
            line.remove(seat)
        # A scope of the scraper's own has cancelled the wait, or the platform has closed for too long. The scraper
        # goes on, so it needs its slot; only the end of the task or of the run lets it go on without.
        with trio.CancelScope(shield=True):
            if not (floor.aborted or seat.scope.cancel_called):
                given = floor.queue_up(seat, seat.lane.landing)
                floor.settle()
                if not given.is_set():
                    await given.wait()
