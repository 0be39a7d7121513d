"""Work for worker threads: few at once, and known by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import trio

__all__ = ["Threads"]

R = TypeVar("R")


class Threads:
    """The worker threads of one run. One that cannot be interrupted outlives its task; it is known by name."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(max(4, os.cpu_count() or 1))
        self._at_work: Counter[str] = Counter()

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread. Checkpoint. If cancelled, the thread goes on alone."""
        # Not its `repr`: that of a `partial` shows the arguments, whole pages and URLs.
        name = getattr(getattr(function, "func", function), "__qualname__", type(function).__qualname__)
        return await trio.to_thread.run_sync(
            partial(self._call, name, function, *args), abandon_on_cancel=True, limiter=self._limiter
        )

    def at_work(self) -> list[str]:
        """Name the functions that run now."""
        return sorted(name for name, count in self._at_work.items() if count > 0)

    def _call(self, name: str, function: Callable[..., R], *args: Any) -> R:
        # In the worker thread. A Counter's update of one key is not atomic; the limiter's few threads may still race
        # for the same name, so the count is only ever used for its sign in a log line.
        self._at_work[name] += 1
        try:
            return function(*args)
        finally:
            self._at_work[name] -= 1

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Threads {sum(self._at_work.values())} at work>"
