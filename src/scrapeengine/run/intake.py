"""The intake of a run: it reads the program's source of events lazily, at most `lookahead` ahead."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import Any, TypeAlias

import trio

from scrapeengine.decide.binding import Coming
from scrapeengine.decide.holding import Holdup
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import SourceEnded, SourceWaiting
from scrapeengine.model.urls import told
from scrapeengine.run.admission import Admission
from scrapeengine.tasks.signals import meaning

__all__ = ["Events", "Intake", "check_events"]

Events: TypeAlias = Iterable[Event] | AsyncIterable[Event]
"""A source of events: any iterable or async iterable, finite or endless."""

_IN_A_ROW = 64
"""Events read without a checkpoint, at most: a source may well have none of its own."""
_SECONDS = 0.001
"""And for how long. Fewer would keep fast tasks waiting for the next event; more would hold up the loop."""


def check_events(events: object) -> None:
    """Refuse what is no source of events."""
    if isinstance(events, str) or not isinstance(events, Iterable | AsyncIterable):
        raise TypeError(
            f"events must be an iterable or an async iterable of Event, got {told(events)}; write [Event(…)]"
        )


class Intake:
    """Reads the source of one run.

    Size: 12 attributes: what it reads, for whom, and how far it has come in this turn of the loop.
    """

    def __init__(self, events: Events, admission: Admission) -> None:
        self.error: BaseException | None = None
        """The exception that the source raised."""
        self.done = False
        """Whether nothing comes any more."""
        self._events = events
        self._admission = admission
        self._instruments = admission.instruments
        self._taken = 0
        self._read_on = 0
        self._since = -math.inf
        self._now = 0.0
        """When the last event was accepted."""
        self.pause: trio.Event | None = None
        """Set where there is room, for which it waits; None: it reads on."""
        self._stopped = False
        self._scope = trio.CancelScope()

    def left(self) -> int | None:
        """Return how many events are still to be read; None: the source has no length, or not the one that it said."""
        if self.done:
            return 0
        left = len(self._events) - self._taken if isinstance(self._events, Sized) else -1
        return left if left >= 0 else None

    def wake(self) -> None:
        """Look again whether there is room."""
        if self.pause is not None:
            self.pause.set()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopped = True
        self._scope.cancel()

    @trio.lowlevel.disable_ki_protection  # for what a source does
    async def run(self) -> None:
        """Read the source to its end, or until `stop`. Checkpoint.

        What it raises is kept as `error`. A generator is closed; any other iterator is left as it is, for its owner.
        """
        try:
            with self._scope:
                if isinstance(self._events, AsyncIterable):
                    await self._read_async(aiter(self._events))
                else:
                    await self._read(iter(self._events))
        except BaseException as error:
            if meaning(error) is None:  # a cancellation, or the end of the program: not the source's to say
                raise
            self.error = error  # for the consumer
        finally:
            self.done = True
            self._comes(Coming.NONE)
            if self._instruments.source_ended:
                details = SourceEnded(time=trio.current_time(), error=self.error)
                self._instruments.tell(self._instruments.source_ended, details)

    async def _read(self, iterator: Iterator[Event]) -> None:
        try:
            while True:
                await self._wait_for_room()
                try:
                    event = next(iterator)
                except StopIteration:
                    return
                self._take(event)
        finally:
            if inspect.isgenerator(iterator):
                iterator.close()

    async def _read_async(self, iterator: AsyncIterator[Event]) -> None:
        try:
            while True:
                await self._wait_for_room()
                try:
                    event = await anext(iterator)
                except StopAsyncIteration:
                    return
                self._take(event)
        finally:
            if inspect.isasyncgen(iterator):
                await iterator.aclose()

    def _take(self, event: Any) -> None:
        if not isinstance(event, Event):
            raise TypeError(
                f"the source gave {told(event)}, which is no Event; write Event(id) or Event(url='https://…')"
            )
        self._now = self._admission.accept(event)
        self._taken += 1

    def _comes(self, how: Coming | Holdup) -> None:
        for meter in self._instruments.holdups:
            meter.comes(how, trio.current_time())

    async def _wait_for_room(self) -> None:
        waited = False
        while not self._admission.has_room():
            # No checkpoint lies between that look and the wait, so no waking is missed.
            self.pause = trio.Event()
            if self._instruments.source_waiting:
                self._instruments.tell(self._instruments.source_waiting, SourceWaiting(time=trio.current_time()))
            if self._instruments.holdups:
                self._comes(self._admission.held_by())
            waited = True
            await self.pause.wait()
            self.pause = None
        if waited and self._instruments.holdups:
            self._comes(Coming.READ)
        self._read_on += 1
        # Where it was stopped its scope is cancelled, and this is where it leaves.
        if self._stopped or self._read_on >= _IN_A_ROW or self._now >= self._since + _SECONDS:
            await trio.lowlevel.checkpoint()
            self._read_on, self._since = 0, trio.current_time()
