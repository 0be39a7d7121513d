"""Whether a platform may be asked now: its rate and its penalty as one."""

from __future__ import annotations

import attrs

from scrapeengine.decide.penalty import Penalty
from scrapeengine.decide.rate import Booking, Meter
from scrapeengine.model.policy import Rate

__all__ = ["Gate"]


@attrs.define(eq=False)
class Gate:
    """What a platform's requests pass, one by one. It outlives lanes and runs. All times are seconds of one clock."""

    meter: Meter
    penalty: Penalty = attrs.field(factory=Penalty, init=False)

    @classmethod
    def of(cls, rate: Rate | None) -> Gate:
        """Make the gate of a platform that was never asked."""
        return cls(Meter(rate))

    def closed(self, now: float) -> bool:
        """Say whether the platform is under penalty."""
        return now < self.penalty.until

    def opens_at(self, now: float) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        return max(self.meter.opens_at(now), self.penalty.until)

    def use(self, booking: Booking, now: float) -> bool:
        """Start a booked request; false if nothing may start: the platform has closed, or the booking lapsed."""
        if self.closed(now):
            self.meter.give_back(booking)
            return False
        return self.meter.use(booking, now)

    def matters(self, now: float) -> bool:
        """Say whether this gate differs from a new one."""
        return now < self.matters_until()

    def matters_until(self) -> float:
        """Say from when on this gate is as good as a new one."""
        return max(self.meter.matters_until(), self.penalty.forgotten_at())

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self.meter.shift(seconds)
        self.penalty.shift(seconds)
