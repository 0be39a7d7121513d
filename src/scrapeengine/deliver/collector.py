"""The collector: takes outcomes to the sinks in batches, and passes them on to the consumer, where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import trio

from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.deliver.sinks import Sink
from scrapeengine.model.outcome import Outcome
from scrapeengine.observe.log import logger

__all__ = ["Collector", "Receipts"]

T = TypeVar("T")

_BATCH = 100
_PATIENCE = 60.0
"""Seconds for which sinks may take nothing once the consumer has left."""


class Receipts(Protocol):
    """Hears what became of outcomes that are kept somewhere until they are delivered."""

    def delivered(self, outcomes: Sequence[Outcome[Any]]) -> None:
        """Hear that all have these outcomes who are to have them."""
        ...

    def undelivered(self, outcomes: Sequence[Outcome[Any]]) -> None:
        """Hear that sinks have not had these, and will not have them in this run."""
        ...


class Collector(Generic[T]):
    """Gives each batch of the outcomes of one run to each sink."""

    def __init__(self, sinks: Sequence[Sink[T]], outbox: Outbox[T], counters: Counters) -> None:
        self.done = trio.Event()
        """Set when sinks have had all that there is for them, or were given up; at once where there are none."""
        self._sinks = sinks
        self._outbox = outbox
        self._counters = counters
        self._in_hand: list[Outcome[T]] = []
        """The batch that sinks are given now."""
        self._sinking = trio.CancelScope()
        """Ends where sinks are waited for no longer."""
        self._gives_up_at = math.inf
        self._left = False

    def leave(self) -> None:
        """Hear that the program has left the run, and cannot stop it: sinks may take nothing for a minute at most."""
        self._left = True
        self._be_patient()

    def give_up_at(self, when: float) -> None:
        """Wait for sinks no longer than that: what they have not taken by then is counted, and goes on without them."""
        self._gives_up_at = min(self._gives_up_at, when)
        self._sinking.deadline = min(self._sinking.deadline, when)

    @trio.lowlevel.disable_ki_protection  # for what sinks do: else a blocking one could not be broken off
    async def collect(self, receipts: Receipts) -> None:
        """Take outcomes to the sinks, and then to the consumer, until none comes any more.

        Args:
            receipts: told of outcomes that all sinks have, where no consumer is to have them too, or that they will not
                have.

        What a sink raises leaves this task. Checkpoint. If cancelled, the batch in hand may have reached some sinks.
        """
        if self._sinks:
            with self._sinking:
                await self._to_sinks(receipts)
            if self._sinking.cancelled_caught:
                await self._without_sinks(receipts)
            # Not where a sink has raised: the consumer is cancelled then, and must not take it for a regular end.
            self._outbox.passed()
        self.done.set()

    async def _to_sinks(self, receipts: Receipts) -> None:
        outbox = self._outbox
        async for outcome in outbox.for_sinks:
            batch = self._in_hand = [outcome]
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while len(batch) < _BATCH:
                    batch.append(outbox.for_sinks.receive_nowait())
            for sink in self._sinks:
                await sink(list(batch))  # a list of its own, which it may change
            self._in_hand = []
            if not outbox.owed:  # else once the consumer has had them too
                receipts.delivered(batch)
            for each in batch:
                outbox.tell_delivered(each, "sinks")
            outbox.pass_on(batch)
            if self._left:  # they do take something
                self._be_patient()

    async def _without_sinks(self, receipts: Receipts) -> None:
        """Let the rest go on its way, though sinks have not had it."""
        rest, self._in_hand = self._in_hand, []
        logger().error("sinks were given up: they took nothing for too long", sinks=len(self._sinks))
        while True:
            self._counters.undelivered += len(rest)
            receipts.undelivered(rest)  # before the consumer has them, which alone does not count
            self._outbox.pass_on(rest)
            try:
                rest = [await self._outbox.for_sinks.receive()]
            except trio.EndOfChannel:
                return

    def _be_patient(self) -> None:
        self._sinking.deadline = min(self._gives_up_at, trio.current_time() + _PATIENCE)

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Collector of {len(self._sinks)} sinks, {len(self._in_hand)} outcomes in hand>"
