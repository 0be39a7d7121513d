"""Unix time by trio's clock, anchored once: what a store writes down, and in a simulated run exact."""

from __future__ import annotations

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
        """Return when, by trio's clock, `now` reaches a Unix time."""
        # Exact, since one is less than twice the other (Sterbenz): who sleeps until then does not wake too soon.
        return at - self.offset
