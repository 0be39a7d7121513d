"""When the next request may start: the generic cell rate algorithm (GCRA, ITU-T I.371, annex A).

The theoretical arrival time (`tat`) is when the next request would come if all came evenly. One may start as long as
`now >= tat - (burst - 1) * interval`, and puts `tat` one interval later.

A request is *booked* first and *used* when it is sent. Between the two lies a turn of the event loop, at times a long
one, and what the platform sees are the uses. So a use that comes d seconds after its booking puts `tat` d later too.
With this the law holds for the uses whatever their delays: with k bookings open, made at b1 <= … <= bk, it is always
true that `tat - (k - j + 1) * interval >= bj`, hence that `tat`, less the open bookings, is at least what an exact
meter of the uses would show. A use later than one interval would cost more than a new booking does: such a booking
has lapsed.

Rejected: to reserve a time ahead and to sleep until then. After a stall of the loop all that slept start at once, and
what is decided meanwhile (a penalty, a new rate) comes too late for them.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from scrapeengine.model.policy import Rate

__all__ = ["Meter"]


@attrs.define(eq=False)
class Meter:
    """The rate of one platform. All times are seconds of one clock, and never go back."""

    rate: Rate | None
    """What to keep to; None: everything may start at once."""
    _tat: float = attrs.field(default=-math.inf, init=False)
    _open: deque[float] = attrs.field(factory=deque, init=False)

    def opens_at(self) -> float:
        """Say from when on one more request may be booked."""
        if self.rate is None:
            return -math.inf
        return self._tat - (self.rate.burst - 1) * self.rate.interval

    def book(self, now: float) -> None:
        """Book a request that is about to start. Only at or after `opens_at`."""
        if self.rate is not None:
            self._drop_lapsed(now, self.rate.interval)
            self._tat = max(self._tat, now) + self.rate.interval
            self._open.append(now)

    def use(self, booked: float, now: float) -> bool:
        """Start the request that was booked at `booked`; false if the booking has lapsed and nothing may start.

        Bookings are all alike: whoever comes first uses the oldest.
        """
        if self.rate is None:
            return True
        interval = self.rate.interval
        self._drop_lapsed(now, interval)
        if now - booked > interval or not self._open:
            return False
        self._tat += now - self._open.popleft()
        return True

    def _drop_lapsed(self, now: float, interval: float) -> None:
        while self._open and now - self._open[0] > interval:
            self._open.popleft()

    def change(self, rate: Rate | None, now: float) -> None:
        """Keep to another rate from now on: what is owed under the old one is owed in requests, not in seconds."""
        if rate is None or self.rate is None:
            self._tat = -math.inf
            self._open.clear()
        else:
            owed = max(0.0, self._tat - now) / self.rate.interval
            self._tat = now + owed * rate.interval
        self.rate = rate

    def matters_until(self) -> float:
        """Say from when on this meter is as good as a new one."""
        return self._tat

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self._tat += seconds
        self._open.clear()
