"""The rate limiter: when the next request may start, by the generic cell rate algorithm (GCRA, ITU-T I.371, annex A).

The theoretical arrival time (`tat`) is when the next request would come if all came evenly. One may start as long as
`now >= tat - (burst - 1) * interval`, and puts `tat` one interval after the later of itself and now.

A request is *booked* first and *used* when it is sent. Between the two lies a turn of the event loop, at times a long
one, and what the platform sees are the uses. So only a use moves `tat`, and a booking is granted only if it and all
that are open could be used at that instant. With k of them open this keeps, at all times t:

    max(tat, t) + (k - burst) * interval <= t

A booking adds one to k, which is what it is checked for; a use at s takes one from k and puts `tat` to
`max(tat, s) + interval`; both keep the inequality, and time does. So every use conforms, however late it comes.

A task may dally before it uses what was booked for its start, or never use it. One interval after the task has begun
its booking *lapses*: it counts as used when the task began. Scrapers that make no requests are paced by this. A booking
whose request has first to be connected lapses unused: the request is booked anew when it can be sent, and meanwhile
other tasks were begun at the same pace.

Rejected: to reserve a time ahead and to sleep until then. After a stall of the loop all that slept start at once, and
what is decided meanwhile (a penalty, a new rate) comes too late for them. Rejected too: to move `tat` with the booking.
A stall between booking and sending then lets two requests start closer to each other than the rate has it.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from scrapeengine.model.policy import Rate

__all__ = ["Booking", "RateLimiter"]


@attrs.define(eq=False)
class Booking:
    """The right to start one request."""

    begun: float | None = None
    """When the task that it was made for has begun; None before."""
    counts: bool = True
    """Whether it counts as used when it lapses; not if its request is being prepared, and will be booked again."""


_FREE = Booking()


@attrs.define(eq=False)
class RateLimiter:
    """The rate of one platform. All times are seconds of one clock, and never go back."""

    rate: Rate | None
    """The rate to keep to; None: everything may start at once."""
    _tat: float = attrs.field(default=-math.inf, init=False)
    _open: deque[Booking] = attrs.field(factory=deque, init=False)

    def opens_at(self, now: float) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        if self.rate is None:
            return -math.inf
        self._lapse(now, self.rate.interval)
        free = self.rate.burst - len(self._open)
        if free > 0:
            return self._tat - (free - 1) * self.rate.interval
        begun = self._open[0].begun
        return (now if begun is None else begun) + self.rate.interval

    def copy(self) -> RateLimiter:
        """Return one that stands as this one does, to be asked what would be. From any thread."""
        copied = RateLimiter(self.rate)
        copied._tat, copied._open = self._tat, self._open.copy()
        return copied

    def book(self) -> Booking:
        """Book a request that is about to start. Only when `opens_at` has come."""
        if self.rate is None:
            return _FREE
        booking = Booking()
        self._open.append(booking)
        return booking

    def begin(self, booking: Booking, now: float) -> None:
        """Begin the task of a booking: it lapses one interval later."""
        if booking in self._open:
            booking.begun = now

    def excuse(self, booking: Booking) -> None:
        """Let a booking lapse unused: its request takes its time, for a connection has to be made."""
        if booking in self._open:
            booking.counts = False

    def use(self, booking: Booking, now: float) -> bool:
        """Start the request that was booked; false if the booking has lapsed and nothing may start."""
        if self.rate is None:
            return True
        self._lapse(now, self.rate.interval)
        if booking not in self._open:
            return False
        self._open.remove(booking)
        self._tat = max(self._tat, now) + self.rate.interval
        return True

    def give_back(self, booking: Booking) -> None:
        """Undo a booking that is not going to be used."""
        if booking in self._open:
            self._open.remove(booking)

    def change(self, rate: Rate | None, now: float) -> None:
        """Keep to another rate from now on. What is owed under the old one is owed in requests, not in seconds.

        What is booked and not used has lapsed, and counts as used now.
        """
        if rate is None or self.rate is None:
            self._tat = -math.inf
        else:
            owed = max(0.0, self._tat - now) / self.rate.interval + len(self._open)
            self._tat = now + owed * rate.interval
        self._open.clear()
        self.rate = rate

    def matters_until(self) -> float:
        """Say from when on this rate limiter is as good as a new one; what is booked and not used matters no more."""
        return self._tat

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more. What is booked and not used has lapsed."""
        self._tat += seconds
        self._open.clear()

    def _lapse(self, now: float, interval: float) -> None:
        while self._open:
            begun = self._open[0].begun
            if begun is None or now < begun + interval:
                return
            if self._open.popleft().counts:
                self._tat = max(self._tat, begun) + interval
