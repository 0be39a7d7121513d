"""Simulated clocks that stand still while a thread is at work."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import TypeVar

import trio

__all__ = ["Standstill", "in_thread"]

V = TypeVar("V")


class Standstill:
    """Time in which a simulated clock does not jump: `with`, around what a thread is waited for.

    A file is written by a thread, of which such a clock knows nothing: it took the wait for one commit for the time to
    jump to the next lease's end, and a run of 25 s lasted 3,100. While somebody waits until all tasks are blocked trio
    lets no clock jump; who waits here for that to have lasted for ever is the one who never sees it.
    """

    def __init__(self) -> None:
        self._scope = trio.CancelScope()

    @staticmethod
    def needed() -> bool:
        """Say whether the clock of this run jumps."""
        return getattr(trio.lowlevel.current_clock(), "autojump_threshold", math.inf) < math.inf

    def __enter__(self) -> None:
        """Hold the clock, if it jumps."""
        if self.needed():
            trio.lowlevel.spawn_system_task(self._hold)

    def __exit__(self, *_: object) -> None:
        """Let it go on."""
        self._scope.cancel()

    async def _hold(self) -> None:
        # Here, for it takes 50 ms, and programs with a real clock never need it; those with a simulated one have it.
        testing = importlib.import_module("trio.testing")
        with self._scope:
            await testing.wait_all_tasks_blocked(math.inf)


async def in_thread(function: Callable[..., V], *args: object) -> V:
    """Call what blocks in a worker thread, in which no simulated time passes.

    Checkpoint. Once it is begun it is not cancelled: what it does is done when this returns.
    """
    with Standstill():
        return await trio.to_thread.run_sync(function, *args)
