"""What is written to one sink, and what becomes of what it refuses.

    write ──> flush ──> had
      │         └─ LOST: in halves, until the one that somebody else has is alone
      └─ raises: leaves, or the same again, or in halves until the one that fails is alone and is set aside

Only what a sink raises of outcomes that it was given says something of these: where it could not be opened, or says
that what fails will pass, nothing is split and nothing set aside.

What a sink has raised in the middle of is not flushed, so it does not count: all of it is written again.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs
import trio

from scrapeengine.deliver.counters import Counters
from scrapeengine.errors import SinkUnavailable
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Position, Sink
from scrapeengine.model.urls import named, told
from scrapeengine.observe.log import logger
from scrapeengine.schedule.clock import Anchor

__all__ = ["Receipts", "SinkWriter"]

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds between two attempts at a batch; each is twice as long as the one before."""


class Receipts(Protocol):
    """Hears what became of outcomes that are kept somewhere until they are delivered."""

    def delivered(self, sink: str, outcomes: Sequence[Outcome[Any]]) -> None:
        """Hear that a sink has these outcomes."""
        ...

    def undelivered(self, sink: str, outcomes: Sequence[Outcome[Any]]) -> None:
        """Hear that a sink has not had these, and will not have them in this run."""
        ...

    def is_earlier(self, outcome: Outcome[Any]) -> bool:
        """Say whether an outcome is of an earlier run, or of another process: it may have been written in part."""
        ...

    async def acknowledge(self, sink: str, outcomes: Sequence[Outcome[Any]], position: Position) -> bool:
        """Keep that a sink has these outcomes, and where it is with them; false if one is not its own any more."""
        ...

    async def positions(self, sink: str) -> Mapping[str, str]:
        """Return how far a sink has come, by slot."""
        ...


@attrs.frozen(eq=False)
class RunOfSink:
    """What one sink sees of its run. Implements `model.sink.SinkRun`."""

    _sink: str
    _receipts: Receipts | None
    _anchor: Anchor

    def now(self) -> float:
        """See `SinkRun`."""
        return self._anchor.wall(trio.current_time())

    @property
    def keeps(self) -> bool:
        """See `SinkRun`."""
        return self._receipts is not None

    async def positions(self) -> Mapping[str, str]:
        """See `SinkRun`."""
        return {} if self._receipts is None else await self._receipts.positions(self._sink)

    async def move(self, position: Position) -> None:
        """See `SinkRun`."""
        if self._receipts is not None:
            await self._receipts.acknowledge(self._sink, (), position)


@attrs.define(eq=False)
class Flush:
    """One flush of a sink. Implements `model.sink.Acknowledge`."""

    _sink: str
    _batch: Sequence[Outcome[Any]]
    _receipts: Receipts | None
    said: bool = attrs.field(default=False, init=False)
    """Whether the sink has acknowledged the batch."""
    lost: bool = attrs.field(default=False, init=False)
    """Whether one of it was not the sink's any more."""

    async def __call__(self, position: Position | None = None) -> bool:
        """See `Acknowledge`."""
        if self._receipts is not None and position is not None:
            self.lost = not await self._receipts.acknowledge(self._sink, self._batch, position)
        elif self._receipts is not None and not self.said:
            self._receipts.delivered(self._sink, self._batch)
        self.said = True
        return not self.lost


class SinkWriter(Generic[T]):
    """Writes batches to one sink, as its policy says. In one task, the sink's."""

    def __init__(self, name: str, sink: Sink[T], counters: Counters, receipts: Receipts | None) -> None:
        self._name = name
        self._sink = sink
        self._counters = counters
        self._receipts = receipts
        self._opened = False
        self._asked = False
        """Whether it was given outcomes: what it raises before that says nothing of them."""
        self.left: list[Outcome[T]] = []
        """What of the batch in hand is neither acknowledged nor set aside."""

    async def take(self, batch: list[Outcome[T]]) -> None:
        """Write a batch, and have it acknowledged, all but what is somebody else's by now, or is set aside.

        Checkpoint. If cancelled, some of it may be written, and is not acknowledged.

        Raises:
            Exception: what the sink raised; by each policy where that says nothing about the outcomes.
            OSError: what was to be set aside could not be.
        """
        self.left = batch
        try:
            await self._patiently(batch)
        except Exception as error:
            if self._sink.policy.aside is None or self._is_of_the_sink(error):
                raise
            await self._split(batch, error)

    def _is_of_the_sink(self, error: Exception) -> bool:
        """Say whether what was raised says nothing about the outcomes: it may be down or locked."""
        return isinstance(error, SinkUnavailable) or not self._asked

    async def _patiently(self, batch: list[Outcome[T]], *, is_part: bool = False) -> None:
        """Write a batch; again if that fails, for as long as the policy has patience.

        What a sink says will pass is tried again by each policy: it says nothing about the outcomes. Of a part of a
        batch nothing else is: all of it was tried for so long already.
        """
        policy, pause, until = self._sink.policy, _FIRST_PAUSE, None
        while True:
            try:
                await self._write(batch)
            except Exception as error:
                if until is None:
                    until = trio.current_time() + policy.patience
                gives_up = (is_part or policy.on_error == "stop") and not isinstance(error, SinkUnavailable)
                if gives_up or trio.current_time() + pause > until:
                    raise
                logger().warning(
                    "a sink has failed, and is tried again",
                    sink=named(self._name),
                    error=type(error).__name__,
                    reason=str(error),
                    wait=pause,
                )
            else:
                return
            await trio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _write(self, batch: list[Outcome[T]]) -> None:
        """Write a batch; where one of it is somebody else's by now, all but that one."""
        receipts, self._asked = self._receipts, False
        if not self._opened:
            await self._sink.open(RunOfSink(self._name, receipts, self._counters.anchor))
            self._opened = True
        if receipts is not None and any(map(receipts.is_earlier, batch)):
            await self._sink.recover()
        self._asked = True
        await self._sink.write(list(batch))  # a list of its own, which it may change
        flush = Flush(self._name, batch, receipts)
        try:
            await self._sink.flush(flush)
        except Exception as error:
            # What is acknowledged is there, and must not be written again; what is wrong now is so at the next batch.
            if not flush.said or flush.lost or self._sink.policy.on_error == "stop":
                if flush.said and not flush.lost:
                    self._settle(batch)
                raise
            logger().warning("a sink has failed behind what it has taken", sink=named(self._name), exc_info=error)
        if not flush.said:
            await flush()
        if not flush.lost:
            self._settle(batch)
            return
        if len(batch) == 1:
            if receipts is not None:
                receipts.delivered(self._name, batch)  # by somebody else
            self._settle(batch)
            return
        half = len(batch) // 2
        await self._write(batch[:half])
        await self._write(batch[half:])

    async def _split(self, batch: list[Outcome[T]], error: Exception) -> None:
        """Set aside what fails, once it is alone."""
        aside = self._sink.policy.aside
        assert aside is not None
        if len(batch) == 1:
            # Imported when it is needed for the first time: a run without trouble does without.
            module = importlib.import_module("scrapeengine.sinks.aside")
            await module.set_aside(aside, self._name, batch[0], error)
            self._counters.set_aside[aside] += 1
            logger().error(
                "an outcome was set aside, for a sink refuses it: mend what is wrong, then bring the file in again",
                sink=named(self._name),
                file=told(aside),
                exc_info=error,
            )
            if self._receipts is not None:
                self._receipts.delivered(self._name, batch)
            self._settle(batch)
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            try:
                await self._patiently(part, is_part=True)
            except Exception as failure:
                if self._is_of_the_sink(failure):
                    raise
                await self._split(part, failure)

    def _settle(self, part: list[Outcome[T]]) -> None:
        """Take it that a part of the batch is where it was to go."""
        settled = set(map(id, part))
        self.left = [outcome for outcome in self.left if id(outcome) not in settled]
