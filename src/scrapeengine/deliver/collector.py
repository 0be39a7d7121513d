"""The collector: the sinks of one run, each with a task of its own, and when all of them are done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import trio

from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.deliver.sinking import SinkHost, SinkTask
from scrapeengine.deliver.sinks import NamedSink
from scrapeengine.deliver.writing import Receipts
from scrapeengine.observe.log import logger
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Collector"]

T = TypeVar("T")


@uninterrupted
class Collector(Generic[T]):
    """Has each outcome of one run brought to each sink."""

    def __init__(self, sinks: Sequence[NamedSink[T]], outbox: Outbox[T], counters: Counters) -> None:
        self.done = trio.Event()
        """Set when sinks have had all that there is for them, or were given up; at once where there are none."""
        self.names = tuple(each.name for each in sinks)
        self._sinks = sinks
        self._outbox = outbox
        self._counters = counters
        self._tasks: list[SinkTask[T]] = []

    def open(self, nursery: trio.Nursery, receipts: Receipts | None, host: SinkHost) -> None:
        """Start a task for each sink.

        Args:
            nursery: the run's. What ends the program leaves a task of it; what else a sink raises leaves `collect`.
            receipts: told what became of outcomes; None: nobody keeps them.
            host: told of a sink that cannot go on.
        """
        self._tasks = [SinkTask(each, self._outbox, self._counters, receipts) for each in self._sinks]
        for task in self._tasks:
            nursery.start_soon(task.run, host, name=f"scrapeengine sink {task.name}")

    def leave(self) -> None:
        """Hear that the program has left the run, and cannot stop it: sinks may take nothing for a minute at most."""
        for task in self._tasks:
            task.leave()

    def give_up_at(self, when: float) -> None:
        """Wait for sinks no longer than that: what they have not taken by then is counted, and goes on without them."""
        for task in self._tasks:
            task.give_up_at(when)

    async def collect(self) -> None:
        """Wait until all sinks have had all that there is for them. Checkpoint, where there are any.

        Raises:
            Exception: what the first sink raised that did; what others did is logged.
        """
        for task in self._tasks:
            await task.done.wait()
        errors = [task.error for task in self._tasks if task.error is not None]
        for error in errors[1:]:
            logger().error("one more sink failed", exc_info=error)
        if errors:
            # The consumer is cancelled by that, and must not take it for a regular end: `passed` is not said.
            raise errors[0]
        if self._tasks:
            self._outbox.passed()
        self.done.set()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Collector of {len(self._sinks)} sinks>"
