"""The outbox: outcomes wait here for whoever takes them, the sinks, then the consumer."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeAlias, TypeVar

import trio

from scrapeengine.deliver.counters import Counters
from scrapeengine.model.instrument import BufferFull, OutcomeDelivered
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.urls import told
from scrapeengine.observe.instruments import Instruments
from scrapeengine.observe.log import logger

__all__ = ["Outbox", "Room", "Sink", "check_sinks"]

T = TypeVar("T")

Sink: TypeAlias = Callable[[list[Outcome[T]]], Awaitable[object]]
"""A sink of outcomes: an async callable that takes a list of them."""

_BATCH = 100
_PATIENCE = 60.0
"""Seconds for which sinks may take nothing once the consumer has left."""
_STRIDE = 16
"""The most outcomes that are taken in one turn of the event loop, if they are there: a turn costs more than they do."""


def check_sinks(sinks: object) -> None:
    """Refuse what is no list of sinks: before anything runs, and not with the first outcome, which would be lost.

    Raises:
        TypeError: it is none; says what to write.
    """
    if isinstance(sinks, str | bytes) or not isinstance(sinks, Iterable):
        raise TypeError(f"sinks=… takes a list of async functions, got {told(sinks)}; write sinks=[save]")
    for sink in sinks:
        if not callable(sink):
            raise TypeError(f"a sink is an async callable that takes a list of outcomes, got {told(sink)}")
        if not _is_async(sink):
            named = getattr(sink, "__qualname__", None) or told(sink)
            raise TypeError(
                f"a sink is an async callable that takes a list of outcomes, got {named}, which is not async; write "
                "`async def save(outcomes): …`, and call what blocks with `await trio.to_thread.run_sync(function, …)`"
            )


def _is_async(sink: object) -> bool:
    """Say whether a callable is an async function, bound, partial or wrapped; or has such a `__call__`."""
    while isinstance(sink, functools.partial):
        sink = sink.func
    for each in (sink, getattr(type(sink), "__call__", None)):  # noqa: B004 - what is looked for is how it is written
        if callable(each) and inspect.iscoroutinefunction(inspect.unwrap(each)):
            return True
    return False


class Room(Protocol):
    """Hears that outcomes have left, so that there may be room for more."""

    def taken(self) -> None:
        """Look again whether there is room."""
        ...


class Outbox(Generic[T]):
    """The way of the outcomes of one run. To put one here never blocks; the lanes see to it that they are not too many.

    Without sinks, outcomes go to the consumer. With sinks, the collector takes them in batches, gives each batch to
    each sink, and passes it on to the consumer after that.

    Size: 15 attributes, the four ends of two channels among them.
    """

    def __init__(
        self, sinks: Sequence[Sink[T]], buffer: int, counters: Counters, instruments: Instruments, room: Room
    ) -> None:
        """Make the way.

        Args:
            sinks: where outcomes go first.
            buffer: how many outcomes may wait before no task starts any more.
            counters: the run's, in which outcomes are counted.
            instruments: the run's.
            room: told when outcomes have left.
        """
        self.waiting = 0
        """The number of outcomes that are on their way."""
        self.buffer = buffer
        self._sinks = sinks
        self._counters = counters
        self._instruments = instruments
        self._room = room
        self._consumed = True
        self._in_hand: list[Outcome[T]] = []
        """The batch that sinks are given now."""
        self._sinking = trio.CancelScope()
        """Ends where sinks are waited for no longer."""
        self._gives_up_at = math.inf
        self._in_a_row = 0
        self._entry, self._consumer = trio.open_memory_channel[Outcome[T]](math.inf)
        self._exit, self._collected = self._entry, self._consumer
        if sinks:
            self._exit, self._consumer = trio.open_memory_channel[Outcome[T]](math.inf)

    def has_room(self) -> bool:
        """Say whether a task may start, for all that waits here."""
        return self.waiting < self.buffer

    def deliver(self, outcome: Outcome[T]) -> None:
        """Count the outcome of a task, once, and send it on its way. Never blocks."""
        self._counters.add(outcome)
        if not self.put(outcome):
            self._counters.unread += 1

    def put(self, outcome: Outcome[T]) -> bool:
        """Send an outcome on its way that is not to be counted; false if the consumer has left."""
        if self._sinks or self._consumed:  # sinks get all, also when the consumer has left
            self.waiting += 1
            self._entry.send_nowait(outcome)
            if self._instruments.buffer_full and self.waiting == self.buffer:
                details = BufferFull(time=trio.current_time(), waiting=self.waiting)
                self._instruments.tell(self._instruments.buffer_full, details)
        return self._consumed

    def end(self) -> None:
        """Say that no outcome comes any more."""
        self._entry.close()

    def leave(self) -> int:
        """Do without the consumer, who has left. Returns how many outcomes it has left behind.

        From here on nobody can stop the run, so sinks that take nothing for a minute are given up.
        """
        self._consumer.close()
        self._consumed = False
        self._sinking.deadline = min(self._gives_up_at, trio.current_time() + _PATIENCE)
        return self.waiting

    async def take(self) -> Outcome[T]:
        """Wait for the next outcome. Checkpoint. If cancelled, none is lost.

        Raises:
            trio.EndOfChannel: all have been taken.
        """
        self._in_a_row += 1
        if self._in_a_row < _STRIDE:
            # A checkpoint comes before what is received and none after it: so none is lost in a cancellation.
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                outcome = self._consumer.receive_nowait()
            except trio.WouldBlock:
                pass
            else:
                return self._took(outcome)
        self._in_a_row = 0
        return self._took(await self._consumer.receive())

    async def collect(self, delivered: Callable[[list[Outcome[T]]], None]) -> None:
        """Take outcomes to the sinks, and then to the consumer, until none comes any more.

        Args:
            delivered: called with outcomes that all sinks have.

        What a sink raises leaves this task. Checkpoint. If cancelled, the batch in hand may have reached some sinks.
        """
        if not self._sinks:
            return
        with self._sinking:
            await self._to_sinks(delivered)
        if self._sinking.cancelled_caught:
            await self._without_sinks()
        # Not where a sink has raised: the consumer is cancelled then, and must not take it for a regular end.
        self._exit.close()

    def give_up_at(self, when: float) -> None:
        """Wait for sinks no longer than that: what they have not taken by then is counted, and goes on without them."""
        self._gives_up_at = min(self._gives_up_at, when)
        self._sinking.deadline = min(self._sinking.deadline, when)

    async def _to_sinks(self, delivered: Callable[[list[Outcome[T]]], None]) -> None:
        async for outcome in self._collected:
            batch = self._in_hand = [outcome]
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while len(batch) < _BATCH:
                    batch.append(self._collected.receive_nowait())
            for sink in self._sinks:
                await sink(list(batch))  # a list of its own, which it may change
            self._in_hand = []
            delivered(batch)
            for each in batch:
                self._tell_delivered(each, "sinks")
            self._pass_on(batch)
            if not self._consumed:  # they do take something
                self._sinking.deadline = min(self._gives_up_at, trio.current_time() + _PATIENCE)

    async def _without_sinks(self) -> None:
        """Let the rest go on its way, though sinks have not had it."""
        rest, self._in_hand = self._in_hand, []
        logger().error("sinks were given up: they took nothing for too long", sinks=len(self._sinks))
        while True:
            self._counters.undelivered += len(rest)
            self._pass_on(rest)
            try:
                rest = [await self._collected.receive()]
            except trio.EndOfChannel:
                return

    def _pass_on(self, batch: list[Outcome[T]]) -> None:
        if not self._consumed:
            self._left(len(batch))
            return
        for outcome in batch:
            self._exit.send_nowait(outcome)

    def _took(self, outcome: Outcome[T]) -> Outcome[T]:
        self.waiting -= 1
        self._room.taken()
        if self._instruments.outcome_delivered:
            self._tell_delivered(outcome, "consumer")
        return outcome

    def _tell_delivered(self, outcome: Outcome[T], to: str) -> None:
        if self._instruments.outcome_delivered:
            details = OutcomeDelivered(time=trio.current_time(), outcome=outcome, to=to)
            self._instruments.tell(self._instruments.outcome_delivered, details)

    def _left(self, count: int) -> None:
        self.waiting -= count
        self._room.taken()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Outbox {self.waiting}/{self.buffer} waiting, {len(self._sinks)} sinks>"
