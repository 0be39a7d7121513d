"""Destinations of a task's requests: its own platform, or, by a redirect or an absolute URL, another one.

Both kinds are asked the same: is it open, may a request start now, wait for its turn, it has refused, may a retry be
made, it asks to be called less often. What differs is whose token, booking and line it is:

    own      the token is the platform's own; a turn that was waited for comes with it (`Lane.returning`)
    other    the task comes back to the token of its own platform, whose limit counts its own tasks only; there it has a
             booking and no token, and stands in a line of its own (`Lane.foreign_requests`)

Requests are started here and sent without a checkpoint after that: a booking that was made before is checked once more,
against rate and penalty as they are now.
"""

from __future__ import annotations

from typing import TypeAlias

import trio

from scrapeengine.decide.gate import Gate
from scrapeengine.decide.heed import StatedLimit
from scrapeengine.decide.rate import Booking
from scrapeengine.schedule.lane import ForeignRequest, Lane, TaskRecord
from scrapeengine.schedule.lanes import Lanes
from scrapeengine.schedule.waiting import Parked, check, ended, in_line

__all__ = ["AnyPlatform", "OtherPlatform", "OwnPlatform"]

_WAY = 0.02
"""The seconds that a task whose turn has come may take to its request."""


class OwnPlatform:
    """The task's own platform."""

    __slots__ = ("_lanes", "_record")

    def __init__(self, record: TaskRecord, lanes: Lanes) -> None:
        self._record = record
        self._lanes = lanes

    @property
    def name(self) -> str:
        """The platform's name."""
        return self._record.lane.queue.name

    def closed_for(self) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is open."""
        return self._record.lane.gate.closed_for(trio.current_time())

    def start(self, *, first: bool, cost: int) -> bool:
        """Start a request now: by what was booked, past an empty line, or in a turn just passed.

        Args:
            first: whether it is no retry.
            cost: its cost.

        Returns:
            False if it may not start: wait for its `turn`.

        Raises:
            RuntimeError: the task has ended.
        """
        record = self._record
        if record not in record.lane.records:
            raise ended()
        if record.parked_since is not None:
            return False  # another coroutine of the same task waits, and this one has no token
        booked, record.booked = record.booked, None  # a booking is good for one request, whether it is used or lapses
        return _started(record, record.lane, booked, first=first, cost=cost)

    async def turn(self, after: float = 0.0, *, cost: int, ahead: bool = False) -> None:
        """Wait, parked, until `after` seconds have passed and a request is booked; `start` uses it.

        Args:
            after: seconds.
            cost: its cost.
            ahead: whether it goes to the head of the line: it has waited there before.

        Raises:
            PlatformClosed: the platform is closed for longer than its policy's patience.
            RuntimeError: the task has ended.

        Checkpoint. If cancelled, nothing is booked; the task has its token again, unless it is the task or the run that
        is cancelled.
        """
        record, scheduler = self._record, self._lanes.scheduler
        _stop_short(self._lanes, record, record.lane)
        # Before it is parked: an error from within would leave only when the task has its token again.
        check(record, record.lane)
        async with Parked(scheduler, record):
            if after > 0:
                await trio.sleep(after)
            await in_line(scheduler, record, first=ahead, cost=cost)
        record.begin()

    def refused(self, sent: float, after: float | None) -> None:
        """Close the platform, which asks not to be called; see `Lanes.refused`."""
        self._lanes.refused(self._record.lane, sent, after)

    def heard(self, sent: float, said: StatedLimit) -> None:
        """Keep to a limit that the platform has stated; see `Lanes.heard`."""
        self._lanes.heard(self._record.lane, sent, said)

    def over_budget(self) -> str:
        """Say in words that the platform's budget has no retry left; else nothing."""
        return self._record.lane.over_budget(trio.current_time())

    def retry(self) -> None:
        """Take a retry out of the platform's budget."""
        _retry(self._record.lane)

    def slow_down(self, seconds: float) -> None:
        """Keep to what the platform's robots.txt asks for, if that is slower than its rate."""
        self._lanes.slow_down(self._record.lane, seconds)


class OtherPlatform:
    """Another platform of the engine. Its lane stays for as long as a task has to do with it, and no longer."""

    __slots__ = ("_booked", "_lanes", "_record", "name")

    def __init__(self, record: TaskRecord, lanes: Lanes, name: str) -> None:
        self.name = name
        self._record = record
        self._lanes = lanes
        self._booked: tuple[Gate, Booking] | None = None
        """The booking, and the gate that gave it, where alone it counts: the lane may have gone and come back since."""

    def closed_for(self) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is open."""
        with self._lanes.visit(self.name) as there:
            return there.gate.closed_for(trio.current_time())

    def start(self, *, first: bool, cost: int) -> bool:
        """Start a request now, as `OwnPlatform.start` does."""
        record = self._record
        if record.ended:
            raise ended()
        if record.parked_since is not None:
            return False
        with self._lanes.visit(self.name) as there:
            booked, self._booked = self._booked, None
            booking = booked[1] if booked and booked[0] is there.gate else None
            return _started(record, there, booking, first=first, cost=cost)

    async def turn(self, after: float = 0.0, *, cost: int, ahead: bool = False) -> None:
        """Wait, parked, for a request on that platform, as `OwnPlatform.turn` does on the task's own.

        The task comes back to its own token. What was booked there may have lapsed by then. So who comes again
        (`ahead`) waits at the head of that line with its token, for one interval of that rate at most, unless the
        platform has closed.
        """
        record = self._record
        with self._lanes.visit(self.name) as there:
            _stop_short(self._lanes, record, there)
            check(record, there)
            # With its token, if that is still good for a request.
            seated = ahead and record.lane.limit.covers(trio.current_time())
            booked = await self._book(there, ForeignRequest(seated=True, cost=cost), ahead=True) if seated else None
            if booked is not None:
                self._booked = there.gate, booked
                return
            async with Parked(self._lanes.scheduler, record):
                if after > 0:
                    await trio.sleep(after)
                booked = await self._book(there, ForeignRequest(cost=cost), ahead=ahead)
            # None is for those that wait with their token, and this one had given it up.
            assert booked is not None
            self._booked = there.gate, booked
            try:
                # The way back to its token was shielded: a task that gave up meanwhile must not send its request.
                await trio.lowlevel.checkpoint_if_cancelled()
            except BaseException:
                self._booked = None
                self._give_back(there, booked)
                raise

    def refused(self, sent: float, after: float | None) -> None:
        """Close the platform, which asks not to be called; see `Lanes.refused`."""
        with self._lanes.visit(self.name) as there:
            self._lanes.refused(there, sent, after)

    def heard(self, sent: float, said: StatedLimit) -> None:
        """Keep to a limit that the platform has stated; see `Lanes.heard`."""
        with self._lanes.visit(self.name) as there:
            self._lanes.heard(there, sent, said)

    def over_budget(self) -> str:
        """Say in words that the platform's budget has no retry left; else nothing."""
        with self._lanes.visit(self.name) as there:
            return there.over_budget(trio.current_time())

    def retry(self) -> None:
        """Take a retry out of the platform's budget."""
        with self._lanes.visit(self.name) as there:
            _retry(there)

    def slow_down(self, seconds: float) -> None:
        """Keep to what the platform's robots.txt asks for, if that is slower than its rate."""
        with self._lanes.visit(self.name) as there:
            self._lanes.slow_down(there, seconds)

    async def _book(self, there: Lane, request: ForeignRequest, *, ahead: bool) -> Booking | None:
        """Stand in that platform's line until a request is booked. If cancelled, nothing is.

        None: the platform has closed or nothing remains there, and who holds a token must not wait for it.
        """
        scheduler = self._lanes.scheduler
        try:
            while request.booked is None:
                check(self._record, there)
                now = trio.current_time()
                if request.seated and (there.gate.closed(now) or there.gate.exhausted(now)):
                    return None  # a penalty is waited for without a token (law 6), and so is a reset
                request.wake = trio.Event()
                (there.foreign_requests.appendleft if ahead else there.foreign_requests.append)(request)
                scheduler.kick(there)
                scheduler.settle()
                await request.wake.wait()
        except BaseException:  # a cancellation, which may come in the very turn in which the request was booked
            if request in there.foreign_requests:
                there.foreign_requests.remove(request)
            if request.booked is not None:
                self._give_back(there, request.booked)
            raise
        return request.booked

    def _give_back(self, there: Lane, booked: Booking) -> None:
        there.gate.rate_limiter.give_back(booked)
        self._lanes.scheduler.kick(there)
        self._lanes.scheduler.settle()


AnyPlatform: TypeAlias = OwnPlatform | OtherPlatform


def _started(record: TaskRecord, lane: Lane, booked: Booking | None, *, first: bool, cost: int) -> bool:
    gate, now, limit = lane.gate, trio.current_time(), record.lane.limit
    if (limit.uncovered or now >= limit.ends) and not limit.covers(now):
        # Its token is of a share that has ended, and may be another's by now. It is parked, until it has a new one.
        if booked is not None:
            gate.rate_limiter.give_back(booked)
        return False
    started = False
    if booked is not None:
        if cost != lane.last_cost:
            lane.last_cost, lane.usual_cost = cost, min(cost, lane.last_cost)
        elif cost != lane.usual_cost:
            lane.usual_cost = cost
        if booked.cost < cost:
            gate.rate_limiter.give_back(booked)  # nobody knew, before the task began, what its requests cost
        else:
            started = gate.use(booked, now, cost)
    # Without a booking only past an empty line: who stands in line was there before.
    if not started and (_just_begun(booked, now) or not (lane.returning or lane.foreign_requests)):
        started = gate.opens_at(now, cost) <= now and gate.use(gate.rate_limiter.book(cost), now, cost)
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


def _stop_short(lanes: Lanes, record: TaskRecord, lane: Lane) -> None:
    """Cancel a task that would wait for a platform that is closed or paused while the run is stopping."""
    stopped = lanes.scheduler.stopped
    if stopped is not None and not lane.may_open(trio.current_time()):
        record.cancel(stopped)


def _retry(lane: Lane) -> None:
    lane.gate.budget.retry(trio.current_time(), lane.platform.retry.budget)
