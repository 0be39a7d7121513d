"""The gate of a platform: its rates and penalty, which say whether it may be asked, and the budget of its retries."""

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
    def of(cls, rates: tuple[Rate, ...]) -> Gate:
        """Make the gate of a platform that was never asked."""
        return cls(RateLimiter(_needed(rates)))

    @classmethod
    def sharing(cls, rates: tuple[Rate, ...]) -> Gate:
        """Make the gate of a platform whose rates are shared with other engines."""
        return cls(Allotment(_needed(rates)))

    def keep_to(self, rates: tuple[Rate, ...], now: float) -> None:
        """Keep to a policy's rates from now on, and to what robots.txt asks for."""
        rates = _needed((*rates, Rate.every(self.delay)) if self.delay else rates)
        if rates != self.rate_limiter.rates:  # a change lets lapse what is booked
            self.rate_limiter.change(rates, now)

    def slow_down(self, seconds: float, rates: tuple[Rate, ...], now: float) -> None:
        """Keep to the delay that a robots.txt asks for; `rates` are the policy's. Of several the slowest holds."""
        if seconds > self.delay:
            self.delay = seconds
            self.keep_to(rates, now)

    def closed(self, now: float) -> bool:
        """Say whether the platform is under penalty."""
        return now < self.penalty.until

    def closed_for(self, now: float) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is under none."""
        return max(0.0, self.penalty.until - now)

    def opens_at(self, now: float, cost: int = 1) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        return max(self.rate_limiter.opens_at(now, cost), self.penalty.until)

    def glance(self, now: float, cost: int = 1) -> float:
        """Say what `opens_at` does, and change nothing: from any thread."""
        limiter = self.rate_limiter
        looked = limiter.copy() if limiter.rates else limiter  # without a rate there is nothing to change
        return max(looked.opens_at(now, cost), self.penalty.until)

    def use(self, booking: Booking, now: float, cost: int | None = None) -> bool:
        """Start a booked request; false if nothing may start: the platform has closed, or the booking lapsed.

        It costs at most what was booked.
        """
        if self.closed(now):  # since it was booked: what does not go out takes nothing of the rate
            self.rate_limiter.give_back(booking)
            return False
        return self.rate_limiter.use(booking, now, cost)

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


def _needed(rates: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """Leave out the rates that others imply, which are as slow and have no larger burst; the slowest come first."""
    kept: list[Rate] = []
    for rate in sorted(dict.fromkeys(rates), key=lambda rate: (-rate.interval, rate.burst)):
        if all(rate.burst < other.burst for other in kept):
            kept.append(rate)
    return tuple(kept)
