"""The task of one sink: it takes batches to it, until none comes any more.

Sinks know nothing of each other: what one has had is not written there again, whatever becomes of the others.
"""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar

import trio

from scrapeengine.deliver.channel import SinkChannel
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.deliver.sinks import NamedSink
from scrapeengine.deliver.writing import Receipts, SinkWriter
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import CLOSING, cut_off
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["SinkHost", "SinkTask"]

T = TypeVar("T")

_PATIENCE = 60.0
"""Seconds for which a sink may take nothing once the consumer has left."""


class SinkHost(Protocol):
    """Hears of sinks that cannot go on."""

    def sink_failed(self) -> None:
        """End the run, so that the others have what there is for them."""
        ...


@uninterrupted
class SinkTask(Generic[T]):
    """One sink of one run.

    Size: 13 attributes: what it works with, and how it stands.
    """

    def __init__(self, entry: NamedSink[T], outbox: Outbox[T], counters: Counters, receipts: Receipts | None) -> None:
        self.name = entry.name
        self.done = trio.Event()
        """Set when it has had all that there is for it, or was given up."""
        self.error: Exception | None = None
        """What it has raised, or that it was cut off while it closed."""
        self._sink = entry.sink
        policy = self._sink.policy
        self._feed: SinkChannel[T] = SinkChannel(policy.size, policy.linger)
        self._writer = SinkWriter(entry.name, self._sink, counters, receipts)
        self._outbox = outbox
        self._counters = counters
        self._receipts = receipts
        self._in_hand: list[Outcome[T]] = []
        self._scope = trio.CancelScope()
        """Ends where it is waited for no longer."""
        self._gives_up_at = math.inf
        self._left = False
        outbox.feed(self.name, self._feed, 2 * policy.size if policy.linger else 0)

    def leave(self) -> None:
        """Hear that the program has left the run, and cannot stop it: it may take nothing for a minute at most."""
        self._left = True
        self._be_patient()

    def give_up_at(self, when: float) -> None:
        """Wait for it no longer than that: what it has not taken by then is counted, and goes on without it."""
        self._gives_up_at = min(self._gives_up_at, when)
        self._scope.deadline = min(self._scope.deadline, when)

    @trio.lowlevel.disable_ki_protection  # for what sinks do: else a blocking one could not be broken off
    async def run(self, host: SinkHost) -> None:
        """Take outcomes to the sink until none comes any more, or it raises.

        Checkpoint. If cancelled, the batch in hand may be written, and is not acknowledged.
        """
        try:
            with self._scope:
                try:
                    await self._serve()
                except Exception as error:  # noqa: BLE001 - it leaves once the other sinks have all
                    self.error = error
                    host.sink_failed()
            if self.error is not None or self._scope.cancelled_caught:
                await self._do_without()
        finally:
            await self._close()
        self.done.set()

    async def _serve(self) -> None:
        while batch := await self._feed.batch():
            self._in_hand = batch
            await self._writer.take(batch)
            self._in_hand = []
            self._outbox.had(batch, self.name)
            if self._left:  # it does take something
                self._be_patient()

    async def _do_without(self) -> None:
        """Let the rest go on its way, though the sink has not had it."""
        if self.error is None:
            logger().error("a sink was given up: it took nothing for too long", sink=named(self.name))
        in_hand, self._in_hand = self._in_hand, []
        self._lose(in_hand, self._writer.left if in_hand else [])
        while rest := await self._feed.batch():
            self._lose(rest, rest)

    def _lose(self, batch: list[Outcome[T]], left: list[Outcome[T]]) -> None:
        """Let a batch go on its way, of which the sink has had all but what is left."""
        self._counters.undelivered += len(left)
        if self._receipts is not None:
            self._receipts.undelivered(self.name, left)
        self._outbox.had(batch, None)

    async def _close(self) -> None:
        with trio.move_on_after(CLOSING, shield=True) as scope:
            try:
                await self._sink.close()
            except Exception as error:  # noqa: BLE001 - all that counts was flushed before
                logger().error("a sink could not be closed", sink=named(self.name), exc_info=error)
        if scope.cancelled_caught:
            logger().error("a sink was cut off while it closed", sink=named(self.name), seconds=CLOSING)
            if self.error is None and not self._scope.cancelled_caught:  # else what it lacks is told already
                self.error = cut_off(self.name)

    def _be_patient(self) -> None:
        self._scope.deadline = min(self._gives_up_at, trio.current_time() + _PATIENCE)

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<SinkTask {self.name}: {len(self._in_hand)} outcomes in hand, {len(self._feed)} waiting>"
