"""What waits for one sink, and when it goes there: batches by size and by age."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

import trio

from scrapeengine.model.outcome import Outcome
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["SinkChannel"]

T = TypeVar("T")


@uninterrupted
class SinkChannel(Generic[T]):
    """A channel to one sink. To put something in never blocks: the outbox bounds all channels together."""

    def __init__(self, size: int, linger: float) -> None:
        """Make it.

        Args:
            size: the most outcomes of a batch.
            linger: seconds for which the first of a batch waits for others; 0: it takes what is there.
        """
        self._size = size
        self._linger = linger
        self._waiting: deque[Outcome[T]] = deque()
        self._since = 0.0
        """From when the first of those that wait does, for who lingers."""
        self._over = False
        self._reader = trio.lowlevel.ParkingLot()

    def put(self, outcome: Outcome[T]) -> None:
        """Let an outcome wait."""
        self._waiting.append(outcome)
        waiting = len(self._waiting)
        if waiting == 1:
            self._since = trio.current_time()
            self._reader.unpark_all()
        elif waiting == self._size:
            self._reader.unpark_all()

    def end(self) -> None:
        """Say that nothing comes any more, so that nothing need be waited for."""
        self._over = True
        self._reader.unpark_all()

    async def batch(self) -> list[Outcome[Any]]:
        """Wait for a batch; an empty one says that all were taken. Checkpoint. If cancelled, none is taken."""
        await trio.lowlevel.checkpoint()
        while not self._waiting and not self._over:
            await self._reader.park()
        if self._linger:
            with trio.move_on_at(self._since + self._linger):
                while len(self._waiting) < self._size and not self._over:
                    await self._reader.park()
        return [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._waiting)

    def __repr__(self) -> str:
        """Count what waits."""
        return f"<SinkChannel {len(self._waiting)} waiting>"
