"""Outcomes of a store on their way to the sinks and the consumer of a run: kept there until these have had them.

    accepted, or of earlier runs ──> on its way ──(renewed)──> had ──(acknowledge)──> forgotten
                                        └──(the run ends)──> given back (defer)

Acknowledgements are written a hundred at a time, or after a tenth of a second: a consumer has outcomes one by one, and
one write each would cost more than all the rest. A task of their own writes them, so that they share a transaction with
the endings of jobs where there are any. What a crash comes before is delivered again, no more than that.

Invariants:

- What is on its way is not handed out again here, however long its time in the store has been over, until the store has
  forgotten it; nor is what a look has found that began before that.
- What the store could not be told waits here. To tell it again does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.job import READER, Delivery, Kept, Reply
from scrapeengine.model.outcome import Outcome
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.trouble import Backoff
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Deliveries"]

_MOST_AT_ONCE = 1000
_MANY = 100
_APART = 0.1
"""Seconds that one waits for more, if there are not so many to acknowledge before."""


@uninterrupted
class Deliveries:
    """The outcomes that this run is to deliver.

    Size: 10 attributes and 14 methods, two queues, and what is known of all that is on its way.
    """

    def __init__(self, holder: Leaseholder, *, wanted: bool) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it; its lease is the time for which outcomes are kept from others.
            wanted: whether there are sinks, or a consumer.
        """
        self.wanted = wanted
        """Whether outcomes are kept, for there is somebody to have them."""
        self._holder = holder
        self._known: dict[int, tuple[Outcome[Any], Delivery]] = {}
        """By the identity of the outcome, which is kept with it."""
        self._earlier: set[int] = set()
        """Those of them that are of earlier runs."""
        self._on_their_way: set[Delivery] = set()
        self._had: deque[Delivery] = deque()
        self._unwanted: deque[Delivery] = deque()
        self._forgotten: set[Delivery] | None = None
        """What the store has forgotten since a look began; None: none is on its way."""
        self._work = trio.Event()
        self._many = trio.Event()

    @property
    def within(self) -> float | None:
        """The seconds for which an outcome is kept from others once it is stored; None: it need not be stored."""
        return self._holder.lease if self.wanted else None

    def expect(self, outcome: Outcome[Any], delivery: Delivery, *, earlier: bool = False) -> None:
        """Await that an outcome is had, which is on its way; whether it is of an earlier run."""
        self._known[id(outcome)] = (outcome, delivery)
        self._on_their_way.add(delivery)
        if earlier:
            self._earlier.add(id(outcome))

    def delivered(self, outcomes: Iterable[Outcome[Any]]) -> None:
        """Have outcomes acknowledged that all have who are to have them."""
        for outcome in outcomes:
            known = self._known.pop(id(outcome), None)
            if known is not None:
                self._earlier.discard(id(outcome))
                self._had.append(known[1])
        if self._had:  # of what is not kept nobody has to be told
            self._work.set()
        if len(self._had) >= _MANY:
            self._many.set()

    def undelivered(self, outcomes: Iterable[Outcome[Any]]) -> None:
        """Keep outcomes for others that will not be had by all here."""
        for outcome in outcomes:
            self._known.pop(id(outcome), None)
            self._earlier.discard(id(outcome))

    def drop(self, delivery: Delivery) -> None:
        """Have an outcome acknowledged that nobody can deliver."""
        self._had.append(delivery)
        self._work.set()

    def leave(self, found: Iterable[Kept]) -> None:
        """Leave to others what was found and is not to be delivered here."""
        self._unwanted += (kept.delivery for kept in found if kept.delivery not in self._on_their_way)
        self._work.set()

    def stop_keeping(self) -> None:
        """Keep nothing more, for nobody is to have it; leave to others what is of earlier runs."""
        self.wanted = False
        for number in self._earlier:
            _, delivery = self._known.pop(number)
            self._unwanted.append(delivery)
        self._earlier.clear()
        self._work.set()

    async def look(self, n: int) -> list[Kept]:
        """Find up to `n` outcomes that nobody has had in time, and that are not on their way here. Checkpoint.

        Raises:
            StoreError: the store could not be asked.
        """
        self._forgotten = set()
        try:
            found = await self._holder.store.undelivered(READER, n, self._holder.lease)
            return [kept for kept in found if kept.delivery not in self._on_their_way | self._forgotten]
        finally:
            self._forgotten = None

    async def run(self) -> None:
        """Tell the store what was had, for ever. Checkpoint. If cancelled, what it was not told still waits here."""
        backoff = Backoff()
        while True:
            await self._work.wait()
            with trio.move_on_after(_APART):
                await self._many.wait()
            self._work, self._many = trio.Event(), trio.Event()
            while not await self.flush():
                await backoff.pause()
            backoff.over()

    async def flush(self) -> bool:
        """Tell the store all that was had; false if it could not be told. Checkpoint, as `run`."""
        try:
            while self._had:
                batch = list(self._had)[:_MOST_AT_ONCE]
                await self._acknowledge(batch)
                for delivery in batch:
                    self._had.popleft()
                    self._on_their_way.discard(delivery)
                    if self._forgotten is not None:
                        self._forgotten.add(delivery)
            while self._unwanted:
                batch = list(self._unwanted)[:_MOST_AT_ONCE]
                await self._holder.store.defer(READER, batch, 0)
                for delivery in batch:
                    self._unwanted.popleft()
                    self._on_their_way.discard(delivery)
        except StoreError as error:
            self._holder.trouble.say("the store could not be told what was delivered", error)
            return False
        return True

    async def _acknowledge(self, batch: Sequence[Delivery]) -> None:
        """Tell the store of some that were had; where somebody else has said so of one, of the others."""
        reply = await self._holder.store.acknowledge(READER, batch)
        if reply is Reply.LOST and len(batch) > 1:
            half = len(batch) // 2
            await self._acknowledge(batch[:half])
            await self._acknowledge(batch[half:])

    async def renew(self) -> None:
        """Keep from others what is on its way, however long that takes, for ever. Checkpoint."""
        while True:
            await trio.sleep(self._holder.lease / 3)
            try:
                await self._defer(self._on_their_way, self._holder.lease)
            except StoreError as error:
                self._holder.trouble.say("outcomes could not be kept from others", error)

    async def give_back(self) -> None:
        """Leave to others what was not had here, at the end of the run. Checkpoint.

        Raises:
            StoreError: it could not be said. Then others have it once its time is over.
        """
        await self._defer(self._on_their_way.difference(self._had), 0)

    async def _defer(self, deliveries: Iterable[Delivery], seconds: float) -> None:
        batch = list(deliveries)
        for first in range(0, len(batch), _MOST_AT_ONCE):
            await self._holder.store.defer(READER, batch[first : first + _MOST_AT_ONCE], seconds)

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Deliveries {len(self._on_their_way)} on their way, {len(self._had)} to acknowledge>"
