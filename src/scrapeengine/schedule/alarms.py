"""One task that sleeps for all: callbacks at given times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

import trio

from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Alarms", "Ring"]

Ring: TypeAlias = tuple[float, int]


@uninterrupted
class Alarms:
    """Callbacks at times of trio's clock. They are synchronous, and called in the order of their times."""

    def __init__(self) -> None:
        self._heap: list[Ring] = []
        self._calls: dict[Ring, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._sleep = trio.CancelScope()
        self._ended = False

    def __len__(self) -> int:
        """Count the callbacks that are still to come."""
        return len(self._calls)

    def at(self, when: float, call: Callable[[], None]) -> Ring:
        """Have `call` called at `when`, or as soon as possible after; what is returned is for `drop`."""
        ring = (when, next(self._numbers))
        self._calls[ring] = call
        heappush(self._heap, ring)
        if when < self._sleep.deadline:  # noqa: PLR1730 - to set the deadline costs, even to what it is
            self._sleep.deadline = when

        return ring

    def drop(self, ring: Ring) -> None:
        """Have it not called. If it was called already, nothing happens."""
        self._calls.pop(ring, None)
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._calls):
            self._heap = sorted(self._calls)

    def end(self) -> None:
        """Let `run` return, whatever is still to come."""
        # Both: a callback may call this, and its scope is over by then; the loop would go to sleep in a new one.
        self._ended = True
        self._sleep.cancel()

    async def run(self) -> None:
        """Call what is due, until `end`. What a callback raises leaves this task. Checkpoint."""
        while not self._ended:
            self._sleep = trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf)
            with self._sleep:
                await trio.sleep_forever()
            # A callback may set alarms: those that are due by now ring in this loop, the next scope has the others.
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                call = self._calls.pop(heappop(self._heap), None)
                if call is not None:
                    call()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Alarms {len(self._calls)} to come>"
