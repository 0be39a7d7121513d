"""The gate of a platform: its rates and penalty, which say whether it may be asked, and the budget of its retries."""

from __future__ import annotations

import math

import attrs

from scrapeengine.decide.allotment import Allotment
from scrapeengine.decide.budget import Budget
from scrapeengine.decide.heed import Heard, StatedLimit, pace
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
    heard: Heard | None = attrs.field(default=None, init=False)
    """What the platform has stated of its limits; None: nothing that holds."""

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

    def hear(self, said: StatedLimit, *, sent: float, now: float, patience: float) -> None:
        """Keep to a limit that the platform has stated.

        Args:
            said: the limit.
            sent: when the request was sent that was answered so.
            now: the time.
            patience: the longest wait that is taken from it, in seconds.
        """
        if self.heard is None:
            # Nothing left for no time is what a site says that has no limit; after another number it is a reset within
            # the second, rounded down.
            if said.remaining < 1 and said.reset <= 0:
                return
            self.heard = Heard()
        shut, interval = pace(said, self.heard.started_since(sent), patience)
        if said.remaining < 1:
            self.heard.opens_at = max(self.heard.opens_at, now + shut)
        else:
            self.rate_limiter.pace(interval, now)
        self.heard.stale_at = max(self.heard.opens_at, now + 2 * max(1.0, min(said.reset, patience)))

    def exhausted(self, now: float) -> bool:
        """Say whether the platform has stated that nothing remains for now: it is waited for as for a rate."""
        return self.heard is not None and now < self.heard.opens_at

    def forget(self, now: float) -> None:
        """Keep to nothing that the platform has stated. A penalty stays."""
        if self.heard is not None:
            self.heard = None
            self.rate_limiter.pace(None, now)

    def closed(self, now: float) -> bool:
        """Say whether the platform is under penalty."""
        return now < self.penalty.until

    def closed_for(self, now: float) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is under none."""
        return max(0.0, self.penalty.until - now)

    def opens_at(self, now: float, cost: int = 1) -> float:
        """Say from when on one more request may be booked; if it is later than now, look again then."""
        if self.heard is not None and now >= self.heard.stale_at:
            self.forget(now)
        opens_at = max(self.rate_limiter.opens_at(now, cost), self.penalty.until)
        return opens_at if self.heard is None else self.heard.put_off(opens_at, now)

    def glance(self, now: float, cost: int = 1) -> float:
        """Say what `opens_at` does, and change nothing: from any thread."""
        limiter = self.rate_limiter
        looked = limiter.copy() if limiter.rates or self.heard is not None else limiter  # else nothing is to change
        opens_at, heard = max(looked.opens_at(now, cost), self.penalty.until), self.heard
        return opens_at if heard is None else heard.put_off(opens_at, now)

    def use(self, booking: Booking, now: float, cost: int | None = None) -> bool:
        """Start a booked request; false if nothing may start: the platform has closed, or the booking lapsed.

        It costs at most what was booked.
        """
        # Since it was booked: what does not go out takes nothing of the rate.
        heard = self.heard
        if self.closed(now) or (heard is not None and now < heard.opens_at):
            self.rate_limiter.give_back(booking)
            return False
        if heard is not None:
            started = self.rate_limiter.use(booking, now, cost)
            if started:
                heard.start(now, booking.cost if cost is None else cost)
            return started
        return self.rate_limiter.use(booking, now, cost)

    def matters(self, now: float) -> bool:
        """Say whether this gate differs from a new one."""
        return now < self.matters_until()

    def matters_until(self) -> float:
        """Say from when on this gate is as good as a new one."""
        heard = -math.inf if self.heard is None else self.heard.stale_at
        return max(self.rate_limiter.matters_until(), self.penalty.forgotten_at(), self.budget.matters_until(), heard)

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self.rate_limiter.shift(seconds)
        self.penalty.shift(seconds)
        self.budget.shift(seconds)
        if self.heard is not None:
            self.heard.shift(seconds)


def _needed(rates: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """Leave out the rates that others imply, which are as slow and have no larger burst; the slowest come first."""
    kept: list[Rate] = []
    for rate in sorted(dict.fromkeys(rates), key=lambda rate: (-rate.interval, rate.burst)):
        if all(rate.burst < other.burst for other in kept):
            kept.append(rate)
    return tuple(kept)
