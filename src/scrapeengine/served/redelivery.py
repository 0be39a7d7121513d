"""Outcomes that nobody has had, of earlier runs or of processes that have died: they go out in this run."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from scrapeengine.decide.records import outcome_of
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.errors import StoreError
from scrapeengine.model.job import Kept
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.served.deliveries import Deliveries
from scrapeengine.served.trouble import Backoff, Trouble
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Redelivery", "RedeliveryHost"]

_BATCH = 100
_LOOKS, _LOOKS_AT_OTHERS = 2.0, 0.5
"""Seconds between two looks: others may have given back what was not had there, or (in other processes) have died."""


class RedeliveryHost(Protocol):
    """Hears that all was sent on its way that there was."""

    def caught_up(self) -> None:
        """Hear that there is no more for now."""
        ...


@uninterrupted
class Redelivery:
    """Looks for them when the run begins, and every few seconds."""

    def __init__(
        self, outbox: Outbox[Any], deliveries: Deliveries, counters: Counters, trouble: Trouble, *, shared: bool
    ) -> None:
        """Make it.

        Args:
            outbox: the run's.
            deliveries: the run's.
            counters: the run's.
            trouble: says what the store could not be asked.
            shared: whether other processes serve the store.
        """
        self.behind = deliveries.wanted
        """Whether there may be some that were not looked for yet."""
        self._outbox = outbox
        self._deliveries = deliveries
        self._counters = counters
        self._trouble = trouble
        self._looks = _LOOKS_AT_OTHERS if shared else _LOOKS
        self._room = trio.Event()
        self._stopped = trio.Event()
        if not deliveries.wanted:
            self._stopped.set()

    def stop(self) -> None:
        """Send nothing more on its way: the run takes no outcome any more, or nobody is to have any."""
        self.behind = False
        self._stopped.set()
        self._room.set()

    def wake(self) -> None:
        """Look again whether there is room."""
        self._room.set()

    async def run(self, host: RedeliveryHost) -> None:
        """Send on its way what nobody has had, until `stop`. Checkpoint."""
        backoff = Backoff()
        while not self._stopped.is_set():
            if not self._outbox.has_room():
                self._room = trio.Event()
                await self._room.wait()
                continue
            try:
                full = [await self._look(taker) for taker in self._deliveries.takers()]
            except StoreError as error:
                self._trouble.say("outcomes that were not delivered could not be had", error)
                await backoff.pause()
                continue
            backoff.over()
            if self._stopped.is_set():
                return
            if not any(full):
                self.behind = False
                host.caught_up()
                await trio.sleep(self._looks)

    async def _look(self, taker: str) -> bool:
        """Send on its way what a sink, or the reader, has not had; whether there may be more."""
        kept = await self._deliveries.look(taker, _BATCH)
        if self._stopped.is_set():
            self._deliveries.leave(taker, kept)
            return False
        for each in kept:
            self._deliver(taker, each)
        return len(kept) == _BATCH

    def _deliver(self, taker: str, kept: Kept) -> None:
        """Send an outcome on its way."""
        delivery = kept.delivery
        try:
            outcome: Outcome[Any] = outcome_of(delivery.platform, delivery.id, kept.outcome)
        except Exception as error:  # noqa: BLE001 - whoever has written it, it must not end the run
            logger().error(
                "an outcome in the store cannot be read, and is dropped", id=named(delivery.id), exc_info=error
            )
            self._deliveries.drop(taker, delivery)
            return
        self._deliveries.expect(outcome, delivery, (taker,), earlier=True)
        self._counters.redelivered += 1
        self._outbox.put(outcome, taker)
