"""The rate limiter of a platform that is shared: requests start at times that were reserved for this engine.

All engines together reserve times that keep to the rates (`decide.share`). A reserved time t may be used once, in
[t, t + late), where late is an interval (of several rates the shortest), or 20 ms if that is more: no loop hits every
millisecond. After that it has lapsed. What an engine uses late it may not use on top of what is on time: its own uses
pass a `RateLimiter` too. So the uses of one engine conform to the rates, whatever stalls its loop:

    in any window of w seconds at most  burst + w * count / per  of one engine,
                                        burst + (w + late) * count / per  of all engines together,

the latter because what is used in [a, b] was reserved for (a - late, b]. Up to 50 a second that is one more.

A request of cost c takes c times, of which none may have lapsed when the last one comes: it is used in what all of them
have in common. So the bounds hold for costs as for requests, with the cost in place of `burst` where it is more.

A booking takes a time out of those that are left, and lapses with it, or earlier if its task has begun: as in a rate
limiter, one interval after that.

Rejected: to use all that has not lapsed at once. After a stall of just less than an interval two requests would start
together at a rate that has no burst.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable

import attrs

from scrapeengine.decide.rate import Booking, RateLimiter
from scrapeengine.model.policy import Rate, rates_of

__all__ = ["Allotment"]


_LATE = 0.02
"""Seconds for which a reserved time may be used at least."""
_MOST = 64
"""Bookings at once that are not used yet: more are not sent within `_LATE`, and of a thousand not one was."""


@attrs.define(eq=False)
class Allotment:
    """The part of one engine in a shared rate; to be used as a `RateLimiter` is. All times are seconds of one clock.

    It keeps what it was given until that lapses, and no more than `burst` bookings whose times have not.

    Size: 18 methods: those of a `RateLimiter`, and how it comes to its times.
    """

    rates: tuple[Rate, ...] = attrs.field(converter=rates_of)
    """The rates that all engines keep to; without any everything may start at once, and nothing has to be reserved."""
    _rate_limiter: RateLimiter = attrs.field(
        init=False, default=attrs.Factory(lambda self: RateLimiter(self.rates), takes_self=True)
    )
    _late: float = attrs.field(init=False, default=attrs.Factory(lambda self: _late(self.rates), takes_self=True))
    """Seconds for which a reserved time may be used."""
    _times: list[float] = attrs.field(factory=list, init=False)
    """Times that were reserved and are neither booked nor, as far as was looked, lapsed; in order."""
    _booked: dict[Booking, tuple[float, ...]] = attrs.field(factory=dict, init=False)
    """The times of the bookings, of each as many as it costs, in order."""
    _oldest: float = attrs.field(default=math.inf, init=False)
    """A time that none of these is before: until it lapses none has to be looked at."""
    paced: float = attrs.field(default=0.0, init=False)
    """The seconds between two requests by the pace that this engine keeps to beside the rates; 0: there is none."""
    drops: int = attrs.field(default=0, init=False)
    """How often it has dropped what was reserved for it."""
    told: int = attrs.field(default=0, init=False)
    """As of how many of these the ledger knows that it has; where it does not, it is told at the next asking."""

    def take_in(self, times: Iterable[float], now: float) -> None:
        """Take what was reserved, by this clock, in any order; what has lapsed is dropped."""
        if not self.rates:
            return
        for time in times:
            insort(self._times, time)
        self._lapse(now)

    def left(self, now: float) -> int:
        """Say how many reserved times may still be booked, now or later; 0 without a rate, when none are needed."""
        if self.rates:
            self._lapse(now)
        return len(self._times)

    def opens_at(self, now: float, cost: int = 1) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then.

        `math.inf` if too few reserved times are left: look again once more are taken in.
        """
        opens_at = self._rate_limiter.opens_at(now, cost)
        if not self.rates:
            return opens_at
        self._lapse(now)
        if len(self._booked) >= _MOST:  # of more at once none would be sent in time: look again when some have gone
            opens_at = max(opens_at, now + _LATE / 4)
        usable = self._group(self._first(opens_at), cost)
        if usable is not None:
            return max(opens_at, self._times[usable + cost - 1])
        # At a pace slower than the rate what is reserved too soon would have lapsed by then.
        return opens_at - self._late if self.paced > self._late and opens_at - self._late > now else math.inf

    def copy(self) -> Allotment:
        """Return one that stands as this one does, to be asked what would be. From any thread."""
        copied = Allotment(self.rates)
        copied._rate_limiter = self._rate_limiter.copy()
        copied._times, copied._booked = self._times.copy(), self._booked.copy()
        copied._oldest, copied.paced = self._oldest, self.paced
        return copied

    def book(self, cost: int = 1) -> Booking:
        """Book a request that is about to start, at the earliest times left. Only when `opens_at` has come."""
        booking = self._rate_limiter.book(cost)
        if self.rates:
            at = self._group(0, cost)
            assert at is not None
            times = self._booked[booking] = tuple(self._times[at : at + cost])
            del self._times[at : at + cost]
            self._oldest = min(self._oldest, times[0])
        return booking

    def begin(self, booking: Booking, now: float) -> None:
        """Begin the task of a booking: it lapses one interval later, if its time has not before."""
        self._rate_limiter.begin(booking, now)

    def excuse(self, booking: Booking) -> None:
        """Let a booking lapse unused: its request takes its time, for a connection has to be made."""
        self._rate_limiter.excuse(booking)

    def use(self, booking: Booking, now: float, cost: int | None = None) -> bool:
        """Start the request that was booked; false if the booking or its time has lapsed, and nothing may start.

        Args:
            booking: what was booked. If only that has lapsed, its times are left for who books next.
            now: the time.
            cost: what the request costs, at most as much as was booked; None: as much. The rest is left for who books
                next.
        """
        if not self.rates:
            return self._rate_limiter.use(booking, now, cost)
        times = self._booked.pop(booking, (-math.inf,))
        if not times[0] <= now < times[0] + self._late:
            self._rate_limiter.give_back(booking)
            self._leave(times, now)
            return False
        if not self._rate_limiter.use(booking, now, cost):
            self._leave(times, now)
            return False
        if cost is not None and len(times) > cost:
            self._leave(times[cost:], now)
        return True

    def give_back(self, booking: Booking) -> None:
        """Undo a booking that is not going to be used; until its time lapses it may be booked again."""
        self._rate_limiter.give_back(booking)
        for time in self._booked.pop(booking, ()):
            insort(self._times, time)

    def change(self, rates: tuple[Rate, ...], now: float) -> None:
        """Keep to another rate from now on. What was reserved is dropped, and what is booked on it is of no use."""
        self.drop()
        self._rate_limiter.change(rates, now)
        self.rates, self._late = rates, _late(rates)

    def pace(self, interval: float | None, now: float) -> None:
        """Keep to a pace too, this engine alone, as `RateLimiter.pace` has it."""
        self._rate_limiter.pace(interval, now)
        self.paced = interval or 0.0

    def drop(self) -> None:
        """Drop all that was reserved, for others or for another rate; none of it is used, and nothing of it is owed."""
        for booking in self._booked:
            self._rate_limiter.give_back(booking)
        self._times.clear()
        self._booked.clear()
        self.drops += 1

    def matters_until(self) -> float:
        """Say from when on this is as good as a new one; what is booked and not used matters no more."""
        if not self.rates or not self._times:
            return self._rate_limiter.matters_until()
        return max(self._rate_limiter.matters_until(), self._times[-1] + self._late)

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more. What is booked and not used has lapsed."""
        self._rate_limiter.shift(seconds)
        self._times = [time + seconds for time in self._times]
        self._booked.clear()

    def _lapse(self, now: float) -> None:
        late = self._late
        if self._times and self._times[0] + late <= now:
            del self._times[: self._first(now)]
        if self._oldest + late > now:
            return
        lapsed = [booking for booking, times in self._booked.items() if times[0] + late <= now]
        for booking in lapsed:
            self._leave(self._booked.pop(booking)[1:], now)
        self._oldest = min((times[0] for times in self._booked.values()), default=math.inf)

    def _leave(self, times: Iterable[float], now: float) -> None:
        """Leave the times of a booking that has lapsed, as far as they have not, for who books next."""
        for time in times:
            if time + self._late > now:
                insort(self._times, time)

    def _first(self, at: float) -> int:
        """Return the index of the first time that has not lapsed at `at`; of most it is the first of all."""
        late = self._late
        if not self._times or self._times[0] + late > at:
            return 0
        return bisect_right(self._times, at, key=lambda time: time + late)

    def _group(self, first: int, cost: int) -> int | None:
        """Return the index, from `first` on, of the earliest times for a request; None: there are not as many."""
        for at in range(first, len(self._times) - cost + 1):
            if cost == 1 or self._times[at + cost - 1] < self._times[at] + self._late:
                return at
        return None


def _late(rates: tuple[Rate, ...]) -> float:
    return max(min((rate.interval for rate in rates), default=0.0), _LATE)
