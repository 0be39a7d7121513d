"""The outbox: outcomes wait here for whoever takes them, the sinks, then the consumer, where there is one.

Without sinks there is a consumer from the beginning, and what it does not read waits for it. With sinks there is one
only once somebody reads: sinks alone are enough, and what they have had by then is nobody else's business.

Where outcomes are kept until they are delivered (in a store), the consumer has had one when it asks for the next. Each
task that reads has one in hand at most.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import trio

from scrapeengine.decide.holding import Holdup, slowest
from scrapeengine.deliver.counters import Counters
from scrapeengine.model.instrument import BufferFull, OutcomeDelivered
from scrapeengine.model.outcome import Outcome
from scrapeengine.observe.instruments import Instruments
from scrapeengine.observe.lines import Lines
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Outbox", "Room"]

T = TypeVar("T")

Had: TypeAlias = Callable[[Sequence[Outcome[T]]], None]

_STRIDE = 8
"""Outcomes that are taken in a row before a look at the clock: a turn of the event loop costs more than they do."""
_SECONDS = 0.001
"""And for how long more are, from that look on. So much is ready at a full core; a slow consumer holds up nobody."""


class Room(Protocol):
    """Hears what becomes of the room for outcomes."""

    def taken(self) -> None:
        """Look again whether there is room: outcomes have left."""
        ...

    def moved(self) -> None:
        """Look again who takes outcomes too slowly: there is no room, or none yet, and where they wait has changed."""
        ...

    def unread(self) -> None:
        """Hear that there is none, and that nobody has begun to read."""
        ...


@uninterrupted
class Outbox(Generic[T]):
    """The way of the outcomes of one run. To put one here never blocks; the lanes see to it that they are not too many.

    Without sinks, outcomes go to the consumer. With sinks, the collector takes them (`for_sinks`), and passes them on.

    Size: 20 attributes, what a channel has among them: one of trio's, whose hand-over costs more, is for sinks only.
    """

    def __init__(
        self, buffer: int, counters: Counters, lines: Lines, instruments: Instruments, room: Room, *, sinks: bool
    ) -> None:
        """Make the way.

        Args:
            buffer: how many outcomes may wait before no task starts any more.
            counters: the run's, in which outcomes are counted.
            lines: the run's, to which failures are told.
            instruments: the run's.
            room: told when outcomes have left.
            sinks: whether there are any.
        """
        self.waiting = 0
        """The number of outcomes that are on their way."""
        self.buffer = buffer
        self.reader: trio.lowlevel.Task | None = None
        """The task that was the first to read; None: nobody has so far."""
        self.abandoned = False
        """Whether there was a consumer, and it has left."""
        self._consumed = not sinks
        """Whether what sinks have had, or all, goes to a consumer."""
        self._left = False
        self.has_sinks = sinks
        self._counters = counters
        self._lines = lines
        self._instruments = instruments
        self._room = room
        self._had: Had[T] | None = None
        self._in_hand: dict[trio.lowlevel.Task, Outcome[T]] = {}
        """What each task that reads was given last; only where somebody wants to know what it has had."""
        self._in_a_row = 0
        self._until = 0.0
        self._ready: deque[Outcome[T]] = deque()
        """What the consumer may take."""
        self._readers = trio.lowlevel.ParkingLot()
        self._over = False
        """Whether no more comes for it."""
        self._entry, self.for_sinks = trio.open_memory_channel[Outcome[T]](math.inf)

    def tell(self, had: Had[T]) -> None:
        """Have `had` called with what the consumer has had, from now on."""
        self._had = had

    @property
    def owed(self) -> bool:
        """Whether there is, or was, a consumer, to whom outcomes are owed beside the sinks."""
        return self._consumed or self.abandoned

    def has_room(self) -> bool:
        """Say whether a task may start, for all that waits here."""
        return self.waiting < self.buffer

    def slowest(self, store: int = 0) -> Holdup:
        """Say who takes outcomes too slowly. From any thread.

        Args:
            store: the outcomes that the store has not accepted yet.
        """
        unread = len(self._ready)
        return slowest(consumer=unread, sinks=self.waiting - unread, store=store)

    def deliver(self, outcome: Outcome[T]) -> None:
        """Count the outcome of a task, once, and send it on its way; a failure is logged. Never blocks."""
        failure = self._counters.add(outcome)
        if failure is not None:
            self._lines.failed(failure)
        self.put(outcome)
        if self.abandoned:
            self._counters.unread += 1

    def put(self, outcome: Outcome[T]) -> None:
        """Send an outcome on its way that is not to be counted."""
        if self.has_sinks or self._consumed:  # sinks get all, also when the consumer has left
            self.waiting += 1
            if self.has_sinks:
                self._entry.send_nowait(outcome)
            else:  # as `_hand` does, which is a call more for each task
                self._ready.append(outcome)
                if self._readers:
                    self._readers.unpark()
            if self.waiting == self.buffer:
                self._tell_full()

    def end(self) -> None:
        """Say that no outcome comes any more."""
        self._entry.close()
        if not self.has_sinks:
            self.passed()

    def leave(self) -> int:
        """Do without the consumer, who has left, if there was one. Returns how many outcomes it has left behind."""
        self.abandoned, self._consumed, self._left = self._consumed, False, True
        self._ready.clear()
        self._readers.unpark_all()
        return self.waiting if self.abandoned else 0

    async def take(self) -> Outcome[T]:
        """Wait for the next outcome; whoever asks for it has had the last one. Checkpoint. If cancelled, none is lost.

        Raises:
            trio.EndOfChannel: all have been taken.
            trio.ClosedResourceError: the run was left.
        """
        if self.reader is None:
            self._begin_to_read()
        if self._had is not None:
            self._has_had(trio.lowlevel.current_task(), self._had)
        # A checkpoint comes before what is taken and none after it: so none is lost in a cancellation.
        self._in_a_row += 1
        if self._in_a_row % _STRIDE == 0 and self._is_long():
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        while not self._ready:
            if self._left:
                raise trio.ClosedResourceError
            if self._over:
                raise trio.EndOfChannel
            self._in_a_row = 0
            await self._readers.park()
        outcome = self._ready.popleft()
        self.waiting -= 1
        self._room.taken()
        if self._had is not None:
            self._in_hand[trio.lowlevel.current_task()] = outcome
        if self._instruments.outcome_delivered:
            self.tell_delivered(outcome, "consumer")
        return outcome

    def pass_on(self, batch: Sequence[Outcome[T]]) -> None:
        """Send outcomes that sinks have had, or never will, to the consumer; without one they have left."""
        if not self._consumed:
            self.waiting -= len(batch)
            self._room.taken()
            return
        for outcome in batch:
            self._hand(outcome)
        if self._instruments.watched:
            self._room.moved()

    def passed(self) -> None:
        """Say that nothing is passed on any more."""
        self._over = True
        self._readers.unpark_all()

    def tell_delivered(self, outcome: Outcome[T], to: str) -> None:
        """Tell who listens of an outcome that is where it was to go."""
        if self._instruments.outcome_delivered:
            details = OutcomeDelivered(time=trio.current_time(), outcome=outcome, to=to)
            self._instruments.tell(self._instruments.outcome_delivered, details)

    def _hand(self, outcome: Outcome[T]) -> None:
        """Lay an outcome ready, for one who reads."""
        self._ready.append(outcome)
        if self._readers:
            self._readers.unpark()

    def _is_long(self) -> bool:
        """Say whether the consumer has had outcomes in a row for long enough, and others are to have their turn."""
        now = trio.current_time()
        if self._in_a_row == _STRIDE:
            self._until = now + _SECONDS
        return now >= self._until

    def _begin_to_read(self) -> None:
        self.reader = trio.lowlevel.current_task()
        self._consumed = not self._left

    def _has_had(self, task: trio.lowlevel.Task, had: Had[T]) -> None:
        outcome = self._in_hand.pop(task, None)
        if outcome is not None:
            had([outcome])

    def _tell_full(self) -> None:
        if self._instruments.buffer_full:
            details = BufferFull(time=trio.current_time(), waiting=self.waiting)
            self._instruments.tell(self._instruments.buffer_full, details)
        if self._instruments.watched:
            self._room.moved()
        if self._consumed and self.reader is None:
            self._room.unread()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Outbox {self.waiting}/{self.buffer} waiting>"
