"""The gate of a platform: its rate and penalty, which say whether it may be asked, and the budget of its retries."""

from __future__ import annotations

import attrs

from scrapeengine.decide.allotment import Allotment
from scrapeengine.decide.budget import Budget
from scrapeengine.decide.penalty import Penalty
from scrapeengine.decide.rate import Booking, RateLimiter
from scrapeengine.model.policy import Rate

__all__ = ["Gate"]


@attrs.define(eq=False)
class Gate:
    """The gate that a platform's requests pass, one by one. It outlives lanes and runs; all times are of one clock."""

    rate_limiter: RateLimiter | Allotment
    penalty: Penalty = attrs.field(factory=Penalty, init=False)
    budget: Budget = attrs.field(factory=Budget, init=False)
    delay: float = attrs.field(default=0.0, init=False)
    """The seconds between two requests that robots.txt asks for; 0: none."""

    @classmethod
    def of(cls, rate: Rate | None) -> Gate:
        """Make the gate of a platform that was never asked."""
        return cls(RateLimiter(rate))

    @classmethod
    def sharing(cls, rate: Rate | None) -> Gate:
        """Make the gate of a platform whose rate is shared with other engines."""
        return cls(Allotment(rate))

    def keep_to(self, rate: Rate | None, now: float) -> None:
        """Keep to a policy's rate from now on, or to what robots.txt asks for if that is slower."""
        if self.delay and (rate is None or rate.interval < self.delay or rate.burst > 1):
            rate = Rate.every(max(self.delay, 0.0 if rate is None else rate.interval))
        if rate != self.rate_limiter.rate:  # a change lets lapse what is booked
            self.rate_limiter.change(rate, now)

    def slow_down(self, seconds: float, rate: Rate | None, now: float) -> None:
        """Keep to the delay that a robots.txt asks for; `rate` is the policy's. Of several the slowest holds."""
        if seconds > self.delay:
            self.delay = seconds
            self.keep_to(rate, now)

    def closed(self, now: float) -> bool:
        """Say whether the platform is under penalty."""
        return now < self.penalty.until

    def closed_for(self, now: float) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is under none."""
        return max(0.0, self.penalty.until - now)

    def opens_at(self, now: float) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        return max(self.rate_limiter.opens_at(now), self.penalty.until)

    def glance(self, now: float) -> float:
        """Say what `opens_at` does, and change nothing: from any thread."""
        limiter = self.rate_limiter
        looked = limiter if limiter.rate is None else limiter.copy()  # without a rate there is nothing to change
        return max(looked.opens_at(now), self.penalty.until)

    def use(self, booking: Booking, now: float) -> bool:
        """Start a booked request; false if nothing may start: the platform has closed, or the booking lapsed."""
        if self.closed(now):  # since it was booked: what does not go out takes nothing of the rate
            self.rate_limiter.give_back(booking)
            return False
        return self.rate_limiter.use(booking, now)

    def matters(self, now: float) -> bool:
        """Say whether this gate differs from a new one."""
        return now < self.matters_until()

    def matters_until(self) -> float:
        """Say from when on this gate is as good as a new one."""
        return max(self.rate_limiter.matters_until(), self.penalty.forgotten_at(), self.budget.matters_until())

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self.rate_limiter.shift(seconds)
        self.penalty.shift(seconds)
        self.budget.shift(seconds)
