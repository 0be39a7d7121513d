"""The connections that rest until they are needed again. All of it is synchronous, at constant cost a call.

Of one origin the one that was used last goes out first: those that a calmer hour does not need grow old and are closed.
Of all, the one that has rested longest is closed when there are too many. How many that is may change: `Peak` says how
many were lately in use at once, so that what a thousand tasks have used is there for the next thousand.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

__all__ = ["Peak", "Pool", "Resting"]


class Resting(Protocol):
    """A connection, as a pool sees it."""

    made: float
    """When it was made."""

    @property
    def quiet(self) -> bool:
        """Whether it is as it was left."""
        ...

    def close(self) -> None:
        """Close it at once."""
        ...


K = TypeVar("K")
C = TypeVar("C", bound=Resting)


class Pool(Generic[K, C]):
    """Connections by where they lead. All times are seconds of one clock."""

    def __init__(self, *, most: int, idle: float, lifetime: float) -> None:
        """Make an empty pool.

        Args:
            most: how many connections rest at once.
            idle: the seconds for which one rests before it is closed.
            lifetime: the seconds from when it was made after which it is used no more.
        """
        self.most = most
        """How many rest at once; heeded when the next one comes to rest."""
        self._idle = idle
        self._lifetime = lifetime
        self._by_key: dict[K, deque[C]] = {}
        self._by_age: OrderedDict[C, tuple[K, float]] = OrderedDict()
        """The key of each, and since when it rests. The first has rested longest."""

    def __len__(self) -> int:
        """Count the connections that rest."""
        return len(self._by_age)

    def take(self, key: K, now: float) -> C | None:
        """Take out a connection that leads there, was not kept too long, and is as it was left."""
        self._sweep(now)
        resting = self._by_key.get(key)
        while resting:
            connection = resting.pop()
            del self._by_age[connection]
            if not resting:
                del self._by_key[key]
            # Quiet comes last, for it asks the kernel. On one that is not, a request that cannot be sent twice is lost.
            if now < connection.made + self._lifetime and connection.quiet:
                return connection
            connection.close()
        return None

    def put(self, key: K, connection: C, now: float) -> None:
        """Let a connection rest."""
        self._by_key.setdefault(key, deque()).append(connection)
        self._by_age[connection] = key, now
        while len(self._by_age) > self.most:
            self._close_oldest()
        self._sweep(now)  # here too: where all go to new origins, nothing may be taken for long

    def close(self) -> None:
        """Close all that rest."""
        while self._by_age:
            self._close_oldest()

    def __repr__(self) -> str:
        """Count them."""
        return f"<Pool {len(self._by_age)}/{self.most} at rest, to {len(self._by_key)} origins>"

    def _sweep(self, now: float) -> None:
        by_age = self._by_age
        while by_age and by_age[next(iter(by_age))][1] + self._idle <= now:
            self._close_oldest()

    def _close_oldest(self) -> None:
        connection, (key, _) = self._by_age.popitem(last=False)
        resting = self._by_key[key]
        resting.popleft()  # of one key, too, the first is the oldest
        if not resting:
            del self._by_key[key]
        connection.close()


class Peak:
    """The most of something in the last span, or in up to two of them."""

    __slots__ = ("_before", "_ends", "_now", "_span", "most")

    def __init__(self, span: float) -> None:
        """Make it; nothing was seen.

        Args:
            span: in seconds.
        """
        self._span = span
        self._ends = -math.inf
        self._before = self._now = 0
        self.most = 0
        """What was returned last."""

    def seen(self, count: int, now: float) -> int:
        """Take note of how many there are, and return the most that there were."""
        if now >= self._ends:
            self._before = self._now if now < self._ends + self._span else 0
            self._now, self._ends = 0, now + self._span
        self._now = max(self._now, count)
        self.most = max(self._now, self._before)
        return self.most
