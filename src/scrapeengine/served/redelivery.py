"""Outcomes that sinks have not had, of earlier runs or of processes that have died: this run's sinks get them."""

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
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.trouble import Backoff
from scrapeengine.served.writer import Writer

__all__ = ["Redelivery", "RedeliveryHost"]

_BATCH = 100
_LOOKS = 0.5
"""Seconds between two looks at most: others may have given back what their sinks did not take, or have died."""
_MOST_AT_ONCE = 1000


class RedeliveryHost(Protocol):
    """Hears that sinks have been given what there was for them."""

    def caught_up(self) -> None:
        """Hear that there is no more for now."""
        ...


class Redelivery:
    """Looks for them when the run begins, and every few seconds; keeps those that are on their way to this run's."""

    def __init__(self, holder: Leaseholder, outbox: Outbox[Any], writer: Writer, counters: Counters) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it; its lease is the time that sinks have for what is handed out.
            outbox: the run's.
            writer: the run's.
            counters: the run's.
        """
        self.behind = True
        """Whether there may be some that were not looked for yet."""
        self._holder = holder
        self._outbox = outbox
        self._writer = writer
        self._counters = counters
        self._room = trio.Event()
        self._stopped = False

    def stop(self) -> None:
        """Give sinks nothing more: the run takes no outcome any more."""
        self._stopped = True

    def wake(self) -> None:
        """Look again whether there is room."""
        self._room.set()

    async def run(self, host: RedeliveryHost) -> None:
        """Give sinks what they have not had, for ever. Checkpoint."""
        backoff = Backoff()
        while True:
            while not self._outbox.has_room():
                self._room = trio.Event()
                await self._room.wait()
            try:
                kept = await self._holder.store.undelivered(_BATCH, self._holder.lease)
            except StoreError as error:
                self._holder.trouble.say("outcomes that were not delivered could not be had", error)
                await backoff.pause()
                continue
            backoff.over()
            if self._stopped:
                return  # they come again once their time is over
            for each in kept:
                self._deliver(each)
            if len(kept) < _BATCH:
                self.behind = False
                host.caught_up()
                await trio.sleep(min(self._holder.lease, _LOOKS))

    async def renew(self) -> None:
        """Keep from others what sinks are given, however long they take, for ever. Checkpoint."""
        while True:
            await trio.sleep(self._holder.lease / 3)
            try:
                await self._defer(self._holder.lease)
            except StoreError as error:
                self._holder.trouble.say("outcomes could not be kept from others", error)

    async def give_back(self) -> None:
        """Leave to others what the sinks were not given, at the end of the run. Checkpoint.

        Raises:
            StoreError: it could not be said. Then others have it once its time is over.
        """
        await self._defer(0)

    async def _defer(self, seconds: float) -> None:
        deliveries = self._writer.undelivered()
        for first in range(0, len(deliveries), _MOST_AT_ONCE):
            await self._holder.store.defer(deliveries[first : first + _MOST_AT_ONCE], seconds)

    def _deliver(self, kept: Kept) -> None:
        """Send an outcome to the sinks, unless it is on its way to them."""
        delivery = kept.delivery
        if self._writer.expects(delivery):
            return
        try:
            outcome: Outcome[Any] = outcome_of(delivery.platform, delivery.id, kept.outcome)
        except Exception as error:  # noqa: BLE001 - whoever has written it, it must not end the run
            logger().error(
                "an outcome in the store cannot be read, and is dropped", id=named(delivery.id), exc_info=error
            )
            self._writer.forget(delivery)
            return
        self._writer.expect(outcome, delivery)
        self._counters.redelivered += 1
        self._outbox.put(outcome)
