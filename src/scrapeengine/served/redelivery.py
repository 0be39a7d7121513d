"""Outcomes that sinks have not had, of earlier runs or of processes that have died: this run's sinks get them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from scrapeengine.decide.records import outcome_of
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.errors import StoreError
from scrapeengine.model.job import Kept
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.served.writer import Writer

__all__ = ["Redelivery"]

_BATCH = 100
_PAUSE = 0.1
"""Seconds between two attempts at a store that is down."""


class Redelivery:
    """Looks for them when the run begins, and again each time that a lease lasts."""

    def __init__(
        self,
        store: Store,
        lease: float,
        outbox: Outbox[Any],
        writer: Writer,
        counters: Counters,
        *,
        has_ended: Callable[[], bool],
        caught_up: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            store: the store.
            lease: the seconds that sinks have for what is handed out.
            outbox: the run's.
            writer: the run's.
            counters: the run's.
            has_ended: says whether the run takes no outcome any more.
            caught_up: called when there is no more for now.
        """
        self.behind = True
        """Whether there may be some that were not looked for yet."""
        self._store = store
        self._lease = lease
        self._outbox = outbox
        self._writer = writer
        self._counters = counters
        self._has_ended = has_ended
        self._caught_up = caught_up
        self._room = trio.Event()

    def wake(self) -> None:
        """Look again whether there is room."""
        self._room.set()

    async def run(self) -> None:
        """Give sinks what they have not had, for ever. Checkpoint."""
        while True:
            while not self._outbox.has_room():
                self._room = trio.Event()
                await self._room.wait()
            try:
                kept = await self._store.undelivered(_BATCH, self._lease)
            except StoreError as error:
                logger().warning("outcomes that were not delivered could not be had", exc_info=error)
                await trio.sleep(_PAUSE)
                continue
            if self._has_ended():
                return  # they come again once their time is over
            for each in kept:
                self._deliver(each)
            if len(kept) < _BATCH:
                self.behind = False
                self._caught_up()
                await trio.sleep(self._lease)

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
