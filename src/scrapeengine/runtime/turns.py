"""How a running task waits: for its turn in the rate, for the end of a penalty or of a backoff, and without a slot."""

from __future__ import annotations

import trio

from scrapeengine.errors import PlatformClosed
from scrapeengine.runtime.floor import Floor
from scrapeengine.runtime.lane import Lane, Seat

__all__ = ["impatience", "rest", "take_turn"]


async def take_turn(floor: Floor, seat: Seat, after: float = 0.0) -> None:
    """Wait until `after` seconds have passed and a request may start; it must be sent without a checkpoint.

    Whoever has to wait is parked meanwhile. The time in the rate is that of the return: a booking that was made
    before is checked once more, against rate and penalty as they are then.

    Raises:
        PlatformClosed: the platform is closed for longer than its policy's patience.

    Checkpoint only if it has to wait. If cancelled, nothing is booked; the task has its slot again, unless it is the
    task or the run that is cancelled.
    """
    if after <= 0 and seat in seat.lane.seats and _booked_now(seat):
        return
    _check(seat)
    async with _Parked(floor, seat):
        if after > 0:
            await trio.sleep(after)
        first = False
        while True:
            await _turn(floor, seat, first=first)
            if _use(seat):
                return
            first = True
            floor.leave(seat)


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


def _check(seat: Seat) -> None:
    """Refuse to wait for what will not come."""
    lane, now = seat.lane, trio.current_time()
    if seat not in lane.seats:
        raise RuntimeError("the task has ended; make its requests while its scraper runs")
    if not lane.patient(now):
        raise impatience(lane, now)


def _booked_now(seat: Seat) -> bool:
    """Use what was booked at the start, or book now if no one is before us."""
    gate = seat.lane.gate
    if seat.booked is not None and _use(seat):
        return True
    now = trio.current_time()
    if seat.lane.returning or gate.opens_at(now) > now:
        return False
    return gate.use(gate.meter.book(), now)


def _use(seat: Seat) -> bool:
    booked, seat.booked = seat.booked, None
    assert booked is not None
    return seat.lane.gate.use(booked, trio.current_time())


async def _turn(floor: Floor, seat: Seat, *, first: bool) -> None:
    """Wait in the lane's line until slots and booking are given."""
    lane = seat.lane
    while seat.parked_since is not None:
        _check(seat)
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
