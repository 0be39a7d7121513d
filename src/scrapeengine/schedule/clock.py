"""The one clock: trio's, anchored once to wall time for what is stored or shown."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
import trio

from scrapeengine.model.checks import refuse_asyncio

__all__ = ["Anchor", "between_runs", "check_trio"]


def between_runs() -> float:
    """Return a time that goes on where no trio run does: the system's monotonic one, which no one sets."""
    return time.monotonic()


@attrs.frozen
class Anchor:
    """The time of a trio clock at a known wall time. Without it a trio time means nothing outside its run."""

    trio_time: float
    wall_time: float
    monotonic_time: float
    clock: trio.abc.Clock

    @classmethod
    def drop(cls, wall_time: Callable[[], float] = time.time) -> Anchor:
        """Anchor the clock of the current trio run, now."""
        return cls(trio.current_time(), wall_time(), between_runs(), trio.lowlevel.current_clock())

    def now(self) -> float:
        """Return the time of that clock, which goes on. From any thread."""
        return self.clock.current_time()

    def wall(self, now: float) -> float:
        """Turn a trio time into Unix time."""
        return self.wall_time + (now - self.trio_time)

    def shift_from(self, earlier: Anchor) -> float:
        """Return what to add to times of the earlier anchor's clock to get times of this one's.

        What has passed between two clocks is read from the system's monotonic one, which no one sets.
        """
        if self.clock is earlier.clock:
            return 0.0
        passed = max(0.0, self.monotonic_time - earlier.monotonic_time)
        return self.trio_time - (earlier.trio_time + passed)


def check_trio() -> None:
    """Refuse to begin where no clock of trio's runs, and asyncio does; who has neither is told by trio itself.

    Raises:
        RuntimeError: an asyncio loop runs here; says what to write.
    """
    if not trio.lowlevel.in_trio_run():
        refuse_asyncio(
            "an Engine works under trio",
            "give it a thread of its own: write `await asyncio.to_thread(trio.run, main)`, with all of it in `main`",
        )
