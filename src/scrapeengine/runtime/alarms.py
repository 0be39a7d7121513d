"""One task that sleeps for all: callbacks at given times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush

import trio

__all__ = ["Alarms"]


class Alarms:
    """Callbacks at times of trio's clock. They are synchronous, and called in the order of their times."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._sleep = trio.CancelScope()
        self._ended = False

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Have `call` called at `when`, or as soon as possible after."""
        heappush(self._heap, (when, next(self._numbers), call))
        if when < self._sleep.deadline:  # noqa: PLR1730 - to set the deadline costs, even to what it is
            self._sleep.deadline = when

    def end(self) -> None:
        """Let `run` return, whatever is still to come."""
        self._ended = True
        self._sleep.cancel()

    async def run(self) -> None:
        """Call what is due, until `end`. What a callback raises leaves this task. Checkpoint."""
        while not self._ended:
            self._sleep = trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf)
            with self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                heappop(self._heap)[2]()
