"""The rate limiter: when the next request may start, by the generic cell rate algorithm (GCRA, ITU-T I.371, annex A).

The theoretical arrival time (`tat`) is when the next request would come if all came evenly. One may start as long as
`now >= tat - (burst - 1) * interval`, and puts `tat` one interval after the later of itself and now.

A request is *booked* first and *used* when it is sent. Between the two lies a turn of the event loop, at times a long
one, and what the platform sees are the uses. So only a use moves `tat`, and a booking is granted only if it and all
that are open could be used at that instant. With k of them open this keeps, at all times t:

    max(tat, t) + (k - burst) * interval <= t

A booking adds one to k, which is what it is checked for; a use at s takes one from k and puts `tat` to
`max(tat, s) + interval`; both keep the inequality, and time does. So every use conforms, however late it comes.

A request of *cost* c counts as c of them: k is the sum of the costs, and a use puts `tat` on by c intervals. One that
costs more than the burst could never start so. It is booked where nothing else is open and all before it is paid
(`tat <= t`), and those after it wait until it is. That keeps, for requests of any costs in any window of w seconds:

    sum of their costs  <=  max(burst, cost of the last one) + w * count / per

Of several rates each has a `tat` of its own, and so has a pace that the platform has stated (`decide.heed`). A booking
is granted when all of them grant it, and a use moves all.

A task may dally before it uses what was booked for its start, or never use it. One interval (of several the shortest)
after the task has begun its booking *lapses*: it counts as used when the task began. Scrapers that make no requests are
paced by this. A booking whose request has first to be connected lapses unused: the request is booked anew when it can
be sent, and meanwhile other tasks were begun at the same pace.

Rejected: to reserve a time ahead and to sleep until then. After a stall of the loop all that slept start at once, and
what is decided meanwhile (a penalty, a new rate) comes too late for them. Rejected too: to move `tat` with the booking.
A stall between booking and sending then lets two requests start closer to each other than the rate has it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from scrapeengine.model.policy import Rate, rates_of

__all__ = ["Booking", "RateLimiter", "restated"]


_SHORTEST = 1e-6
"""The seconds between two requests of a pace at least."""


@attrs.define(eq=False)
class Booking:
    """The right to start one request."""

    cost: int = 1
    """How many requests it counts as."""
    begun: float | None = None
    """When the task that it was made for has begun; None before."""
    counts: bool = True
    """Whether it counts as used when it lapses; not if its request is being prepared, and will be booked again."""


_FREE = Booking()


@attrs.define
class _RateMeter:
    """What one rate has counted."""

    burst: int
    interval: float
    tat: float = -math.inf


def _meters(rates: Sequence[Rate]) -> list[_RateMeter]:
    return [_RateMeter(rate.burst, rate.interval) for rate in rates]


def restated(tats: Mapping[float, float], now: float, intervals: Sequence[float]) -> dict[float, float]:
    """Return the theoretical arrival times at other rates: what is owed is owed in requests, not in seconds.

    Args:
        tats: those up to now, by the seconds between two requests.
        now: the time.
        intervals: the seconds between two requests from now on. Of one that is new the most is owed that was of any.
    """
    owed = max(((tat - now) / interval for interval, tat in tats.items()), default=0.0)
    anew = {interval: now + owed * interval if owed > 0 else -math.inf for interval in intervals}
    return anew | {interval: tats[interval] for interval in intervals if interval in tats}


@attrs.define(eq=False)
class RateLimiter:
    """The rates of one platform. All times are seconds of one clock, and never go back."""

    rates: tuple[Rate, ...] = attrs.field(converter=rates_of)
    """The rates to keep to, each of them; without any everything may start at once."""
    _meters: list[_RateMeter] = attrs.field(
        init=False, default=attrs.Factory(lambda self: _meters(self.rates), takes_self=True)
    )
    _interval: float = attrs.field(
        init=False, default=attrs.Factory(lambda self: _shortest(self.rates), takes_self=True)
    )
    """After how many seconds a booking lapses."""
    _open: deque[Booking] = attrs.field(factory=deque, init=False)
    _booked: int = attrs.field(default=0, init=False)
    """The cost of all that is open."""
    _paced: _RateMeter | None = attrs.field(default=None, init=False)
    """The last meter, if it is of a pace that the platform has stated."""

    def opens_at(self, now: float, cost: int = 1) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        opens_at = -math.inf
        if self._open:
            self._lapse(now)
        for meter in self._meters:
            room = (max(cost, meter.burst)) - cost - self._booked
            if room < 0:
                begun = self._open[0].begun
                return (now if begun is None else begun) + self._interval
            at = meter.tat - room * meter.interval
            opens_at = max(opens_at, at)
        return opens_at

    def copy(self) -> RateLimiter:
        """Return one that stands as this one does, to be asked what would be. From any thread."""
        copied = RateLimiter(self.rates)
        copied._meters = [_RateMeter(meter.burst, meter.interval, meter.tat) for meter in self._meters]
        copied._interval = self._interval
        copied._open = self._open.copy()
        copied._booked = sum(booking.cost for booking in copied._open)
        return copied

    def book(self, cost: int = 1) -> Booking:
        """Book a request that is about to start. Only when `opens_at` has come."""
        if not self._meters:
            return _FREE
        booking = Booking(cost)
        self._open.append(booking)
        self._booked += cost
        return booking

    def begin(self, booking: Booking, now: float) -> None:
        """Begin the task of a booking: it lapses one interval later."""
        if booking in self._open:
            booking.begun = now

    def excuse(self, booking: Booking) -> None:
        """Let a booking lapse unused: its request takes its time, for a connection has to be made."""
        if booking in self._open:
            booking.counts = False

    def use(self, booking: Booking, now: float, cost: int | None = None) -> bool:
        """Start the request that was booked; false if the booking has lapsed and nothing may start.

        Args:
            booking: what was booked.
            now: the time.
            cost: what the request costs, at most as much as was booked; None: as much.
        """
        if not self._meters:
            return True
        self._lapse(now)
        if booking not in self._open:
            return False
        self._open.remove(booking)
        self._booked -= booking.cost
        self._count(now, booking.cost if cost is None else cost)
        return True

    def give_back(self, booking: Booking) -> None:
        """Undo a booking that is not going to be used."""
        if booking in self._open:
            self._open.remove(booking)
            self._booked -= booking.cost

    def change(self, rates: tuple[Rate, ...], now: float) -> None:
        """Keep to other rates from now on. What is owed under the old ones is owed in requests, not in seconds.

        What is booked and not used has lapsed, and counts as used now.
        """
        if self._booked:
            self._count(now, self._booked)
        own = self._meters[: len(self.rates)]
        tats = restated({meter.interval: meter.tat for meter in own}, now, [rate.interval for rate in rates])
        self.rates = rates
        self._meters = [_RateMeter(rate.burst, rate.interval, tats[rate.interval]) for rate in rates]
        self._open.clear()
        self._booked = 0
        self._look_at_the_pace()

    def pace(self, interval: float | None, now: float) -> None:
        """Keep to a pace too, beside the rates: so many seconds between two requests; None: to none any more.

        What is booked stays so, unless nothing is left to keep to.
        """
        before, paced = self._paced, None
        if interval is not None:
            interval = max(_SHORTEST, interval)
            # Where a part of the interval is over: that part of the new one.
            owed = 1.0 if before is None else max(0.0, before.tat - now) / before.interval
            paced = _RateMeter(1, interval, now + owed * interval)
        # After all that could fail: what is popped is never one of the platform's own rates.
        if before is not None:
            self._meters.pop()
        self._paced = paced
        self._look_at_the_pace()
        if not self._meters:
            self._open.clear()
            self._booked = 0

    def _look_at_the_pace(self) -> None:
        if self._paced is not None:
            self._meters.append(self._paced)
        self._interval = min((meter.interval for meter in self._meters), default=math.inf)

    def matters_until(self) -> float:
        """Say from when on this rate limiter is as good as a new one; what is booked and not used matters no more."""
        return max((meter.tat for meter in self._meters), default=-math.inf)

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more. What is booked and not used has lapsed."""
        for meter in self._meters:
            meter.tat += seconds
        self._open.clear()
        self._booked = 0

    def _count(self, at: float, cost: int) -> None:
        for meter in self._meters:
            meter.tat = max(at, meter.tat) + cost * meter.interval

    def _lapse(self, now: float) -> None:
        while self._open:
            begun = self._open[0].begun
            if begun is None or now < begun + self._interval:
                return
            lapsed = self._open.popleft()
            self._booked -= lapsed.cost
            if lapsed.counts:
                self._count(begun, lapsed.cost)


def _shortest(rates: Sequence[Rate]) -> float:
    return min((rate.interval for rate in rates), default=math.inf)
