"""Unix time by trio's clock, anchored once: what a store writes down, and in a simulated run exact."""

from __future__ import annotations

import math
import time

import attrs
import trio

__all__ = ["Clock"]


@attrs.frozen
class Clock:
    """Unix time. Whatever happens to the machine's own clock meanwhile, it goes on as trio's does."""

    offset: float
    """The Unix time at which trio's clock showed 0."""

    @classmethod
    def anchored(cls) -> Clock:
        """Make a clock that shows the machine's time now."""
        return cls(time.time() - trio.current_time())

    def now(self) -> float:
        """Return the Unix time."""
        return self.offset + trio.current_time()

    def deadline(self, at: float) -> float:
        """Return when, by trio's clock, `now` has surely reached a Unix time."""
        if math.isinf(at):
            return at
        deadline = at - self.offset
        # Unix times are coarser than trio's: who wakes up a rounding error too soon finds nothing to do.
        return deadline if self.offset + deadline >= at else deadline + math.ulp(at)
