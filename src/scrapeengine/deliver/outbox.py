"""The outbox: outcomes wait here for whoever takes them, the sinks and the consumer, where there is one.

None of these waits for another. An outcome has left when all have had it who are to, and until then counts as one that
waits: so the slowest of them holds up the starts in the end, and nothing else.

Without sinks there is a consumer from the beginning, and what it does not read waits for it. With sinks there is one
only once somebody reads: sinks alone are enough, and what all of them have had by then is nobody else's business.

Where outcomes are kept until they are delivered (in a store), the consumer has had one when it asks for the next. Each
task that reads has one in hand at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs
import trio

from scrapeengine.decide.holding import Holdup, slowest
from scrapeengine.deliver.channel import SinkChannel
from scrapeengine.deliver.counters import Counters
from scrapeengine.model.instrument import BufferFull, OutcomeDelivered
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import READER
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


@attrs.define(eq=False)
class Owed(Generic[T]):
    """An outcome that sinks are to have."""

    outcome: Outcome[T]
    sinks: int
    """The number of those that have not had it."""
    reader: bool
    """Whether the consumer is to have it, and has not."""
    all: bool
    """Whether it is for all of them."""


@uninterrupted
class Outbox(Generic[T]):
    """The way of the outcomes of one run. To put one here never blocks; the lanes see to it that they are not too many.

    Without sinks, outcomes go to the consumer. With sinks, each has a channel of its own (`feed`), and so has that.

    Size: 22 attributes, what a channel has among them: one of trio's, whose hand-over costs more, would do no better.
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
        """How many may be before no task starts any more."""
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
        self._feeds: dict[str, SinkChannel[T]] = {}
        """What waits for each sink."""
        self._owed: dict[int, Owed[T]] = {}
        """What not all have had, by the identity of the outcome; only where there are sinks."""
        self._room_for_sinks = 0
        self._untaken = 0
        """How many of them a sink has not had."""

    def feed(self, name: str, feed: SinkChannel[T], room: int) -> None:
        """Have a sink fed, which needs room for so many outcomes at least."""
        self._feeds[name] = feed
        self._room_for_sinks = max(self._room_for_sinks, room)
        self.resize(self.buffer)

    def resize(self, buffer: int) -> None:
        """Let so many outcomes wait before no task starts any more, or as many more as sinks have use for at once."""
        self.buffer = max(buffer, self._room_for_sinks)

    def slowest_sink(self) -> str | None:
        """Name the sink for which outcomes wait, as many as there is room for; None: it is none of them."""
        waiting = {name: len(feed) for name, feed in self._feeds.items()}
        name = max(waiting, key=lambda each: waiting[each], default=None)
        return name if name is not None and waiting[name] > len(self._ready) else None

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
        return slowest(consumer=unread, sinks=self._untaken, store=store)

    def deliver(self, outcome: Outcome[T]) -> None:
        """Count the outcome of a task, once, and send it on its way; a failure is logged. Never blocks."""
        failure = self._counters.add(outcome)
        if failure is not None:
            self._lines.failed(failure)
        self.put(outcome)
        if self.abandoned:
            self._counters.unread += 1

    def put(self, outcome: Outcome[T], to: str | None = None) -> None:
        """Send an outcome on its way that is not to be counted; to a sink of this name only, or the reader."""
        if self.has_sinks:  # these get all, also when the consumer has left
            self._share_out(outcome, to)
        elif self._consumed:
            self.waiting += 1
            # As `_hand` does, which is a call more for each task.
            self._ready.append(outcome)
            if self._readers:
                self._readers.unpark()
            if self.waiting == self.buffer:
                self._tell_full()

    def _share_out(self, outcome: Outcome[T], to: str | None) -> None:
        feeds = [feed for name, feed in self._feeds.items() if to in {None, name}]
        reader = self._consumed and to in {None, READER}
        if not feeds and not reader:
            return
        self.waiting += 1
        self._owed[id(outcome)] = Owed(outcome, len(feeds), reader, to is None)
        self._untaken += bool(feeds)
        for feed in feeds:
            feed.put(outcome)
        if reader:
            self._hand(outcome)
        if self.waiting == self.buffer:
            self._tell_full()

    def had(self, outcomes: Sequence[Outcome[T]], sink: str | None) -> None:
        """Take it that a sink has had outcomes; None: that it never will."""
        for outcome in outcomes:
            owed = self._owed[id(outcome)]
            owed.sinks -= 1
            self._untaken -= not owed.sinks
            if not owed.sinks and sink is not None:
                self.tell_delivered(outcome, "sinks")
            self._settle(owed)
        self._room.taken()
        if self._instruments.watched:
            self._room.moved()

    def _settle(self, owed: Owed[T]) -> None:
        if not owed.sinks and not owed.reader:
            del self._owed[id(owed.outcome)]
            self.waiting -= 1

    def end(self) -> None:
        """Say that no outcome comes any more."""
        for feed in self._feeds.values():
            feed.end()
        if not self.has_sinks:
            self.passed()

    def leave(self) -> int:
        """Do without the consumer, who has left, if there was one. Returns how many outcomes it has left behind."""
        self.abandoned, self._consumed, self._left = self._consumed, False, True
        left = len(self._ready)
        if self.has_sinks:
            for outcome in self._ready:
                self._read(outcome)
        self._ready.clear()
        self._readers.unpark_all()
        return left if self.abandoned else 0

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
        if self.has_sinks:
            self._read(outcome)
        else:
            self.waiting -= 1
        self._room.taken()
        if self._had is not None:
            self._in_hand[trio.lowlevel.current_task()] = outcome
        if self._instruments.outcome_delivered:
            self.tell_delivered(outcome, "consumer")
        return outcome

    def passed(self) -> None:
        """Say that no more comes for the consumer."""
        self._over = True
        self._readers.unpark_all()

    def tell_delivered(self, outcome: Outcome[T], to: str) -> None:
        """Tell who listens of an outcome that is where it was to go."""
        if self._instruments.outcome_delivered:
            details = OutcomeDelivered(time=trio.current_time(), outcome=outcome, to=to)
            self._instruments.tell(self._instruments.outcome_delivered, details)

    def _read(self, outcome: Outcome[T]) -> None:
        """Take it that the consumer has been given an outcome that sinks are to have too."""
        owed = self._owed[id(outcome)]
        owed.reader = False
        self._settle(owed)
        if self._instruments.watched:
            self._room.moved()

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
        if self._consumed or self._left:
            return
        self._consumed = True
        for owed in list(self._owed.values()):  # what sinks have had is nobody else's business, but this is not had yet
            if owed.all:
                owed.reader = True
                self._hand(owed.outcome)

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
