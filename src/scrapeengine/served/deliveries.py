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

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import trio

from scrapeengine.deliver.outbox import Outbox
from scrapeengine.errors import StoreError
from scrapeengine.model.job import Delivery, Kept, Reply
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import READER, Position
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.trouble import Backoff
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Deliveries"]

_MOST_AT_ONCE = 1000
_MANY = 100
_APART = 0.1
"""Seconds that one waits for more, if there are not so many to acknowledge before."""


@attrs.define(eq=False, repr=False)
class Dispatch:
    """An outcome on its way."""

    outcome: Outcome[Any]
    """Kept with it, since it goes by its identity."""
    delivery: Delivery
    takers: set[str]
    """The sinks, and the reader, that have not had it."""
    earlier: bool
    """Whether it is of an earlier run, or of another process."""


@uninterrupted
class Deliveries:
    """The outcomes that this run is to deliver, to each sink for itself. Implements `deliver.writing.Receipts`.

    Size: 12 attributes and 22 methods, two queues for each sink, and what is known of all that is on its way.
    """

    def __init__(self, holder: Leaseholder, sinks: Sequence[str], outbox: Outbox[Any], *, wanted: bool) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it; its lease is the time for which outcomes are kept from others.
            sinks: the names of the run's sinks.
            outbox: the run's, which knows whether anybody reads.
            wanted: whether there are sinks, or a consumer.
        """
        self.wanted = wanted
        """Whether outcomes are kept, for there is somebody to have them."""
        self._holder = holder
        self._sinks = tuple(sinks)
        self._outbox = outbox
        self._known: dict[int, Dispatch] = {}
        """By the identity of the outcome."""
        takers = (*sinks, READER)
        self._on_their_way: dict[str, set[Delivery]] = {taker: set() for taker in takers}
        self._had: dict[str, deque[Delivery]] = {taker: deque() for taker in takers}
        self._unwanted: dict[str, deque[Delivery]] = {taker: deque() for taker in takers}
        self._forgotten: dict[str, set[Delivery]] = {}
        """What the store has forgotten of a taker's since a look for these began; only while that goes on."""
        self._work = trio.Event()
        self._many = trio.Event()
        self._renewal = trio.CancelScope()
        """Ends when what is on its way is renewed next; never, while nothing is."""

    @property
    def within(self) -> float | None:
        """The seconds for which an outcome is kept from others once it is stored; None: it need not be stored."""
        return self._holder.lease if self.wanted else None

    def takers(self) -> tuple[str, ...]:
        """Name all who are to have what ends now: the sinks, and the reader where there is, or was, one."""
        return (*self._sinks, READER) if self._outbox.owed else self._sinks

    def expect(
        self, outcome: Outcome[Any], delivery: Delivery, takers: Iterable[str], *, earlier: bool = False
    ) -> None:
        """Await that an outcome is had, which is on its way to some; whether it is of an earlier run."""
        self._known[id(outcome)] = Dispatch(outcome, delivery, set(takers), earlier)
        for taker in takers:
            self._on_their_way[taker].add(delivery)
        if self._renewal.deadline == math.inf:
            self._renewal.deadline = trio.current_time() + self._holder.third()

    def is_earlier(self, outcome: Outcome[Any]) -> bool:
        """See `Receipts`."""
        dispatch = self._known.get(id(outcome))
        return dispatch is not None and dispatch.earlier

    def delivered(self, sink: str, outcomes: Iterable[Outcome[Any]]) -> None:
        """Have outcomes acknowledged that a sink has, or the reader."""
        had = self._had[sink]
        for outcome in outcomes:
            delivery = self._settle(sink, outcome)
            if delivery is not None:
                had.append(delivery)
        if had:  # of what is not kept nobody has to be told
            self._work.set()
        if len(had) >= _MANY:
            self._many.set()

    def undelivered(self, sink: str, outcomes: Iterable[Outcome[Any]]) -> None:
        """Keep outcomes for others that a sink will not have here."""
        for outcome in outcomes:
            self._settle(sink, outcome)

    async def acknowledge(self, sink: str, outcomes: Sequence[Outcome[Any]], position: Position) -> bool:
        """See `Receipts`. While the store is down it waits, as the sink does then. Checkpoint.

        If cancelled, the store may know or not.
        """
        known = [self._known.get(id(outcome)) for outcome in outcomes]
        deliveries = [each.delivery for each in known if each is not None and sink in each.takers]
        if len(deliveries) < len(outcomes):
            return False  # it has had one of them before, and said so
        backoff = Backoff()
        while True:
            try:
                reply = await self._holder.store.acknowledge(sink, deliveries, position)
                break
            except StoreError as error:
                self._holder.trouble.say("the store could not be told how far a sink has come", error)
                await backoff.pause()
        if reply is Reply.LOST:
            return False
        for outcome in outcomes:
            self._settle(sink, outcome)
        self._forget(sink, deliveries)
        return True

    async def positions(self, sink: str) -> dict[str, str]:
        """See `Receipts`. While the store is down it waits. Checkpoint."""
        backoff = Backoff()
        while True:
            try:
                return await self._holder.store.positions(sink)
            except StoreError as error:
                self._holder.trouble.say("the store could not be asked how far a sink has come", error)
                await backoff.pause()

    def drop(self, taker: str, delivery: Delivery) -> None:
        """Have an outcome acknowledged that nobody can deliver."""
        self._had[taker].append(delivery)
        self._work.set()

    def leave(self, taker: str, found: Iterable[Kept]) -> None:
        """Leave to others what was found and is not to be delivered here."""
        on_their_way = self._on_their_way[taker]
        self._unwanted[taker] += (kept.delivery for kept in found if kept.delivery not in on_their_way)
        self._work.set()

    def stop_keeping(self) -> None:
        """Keep nothing more, for nobody is to have it; leave to others what is of earlier runs."""
        self.wanted = False
        for number, dispatch in list(self._known.items()):
            if dispatch.earlier:
                del self._known[number]
                for taker in dispatch.takers:
                    self._unwanted[taker].append(dispatch.delivery)
        self._work.set()

    async def look(self, taker: str, n: int) -> list[Kept]:
        """Find up to `n` outcomes that a sink, or the reader, has not had in time, and that are not on their way here.

        Checkpoint.

        Raises:
            StoreError: the store could not be asked.
        """
        forgotten = self._forgotten[taker] = set()
        try:
            found = await self._holder.store.undelivered(taker, n, self._holder.lease)
            return [kept for kept in found if kept.delivery not in self._on_their_way[taker] | forgotten]
        finally:
            del self._forgotten[taker]

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
            for taker, had in self._had.items():
                while had:
                    batch = list(had)[:_MOST_AT_ONCE]
                    await self._holder.store.acknowledge(taker, batch)  # of what is lost others have said so
                    for _ in batch:
                        had.popleft()
                    self._forget(taker, batch)
            for taker, unwanted in self._unwanted.items():
                while unwanted:
                    batch = list(unwanted)[:_MOST_AT_ONCE]
                    await self._holder.store.defer(taker, batch, 0)
                    for delivery in batch:
                        unwanted.popleft()
                        self._on_their_way[taker].discard(delivery)
        except StoreError as error:
            self._holder.trouble.say("the store could not be told what was delivered", error)
            return False
        return True

    def renew_now(self) -> None:
        """Keep from others what is on its way for as long as a lease is by now, at once."""
        if self._renewal.deadline < math.inf:
            self._renewal.deadline = trio.current_time()

    async def renew(self) -> None:
        """Keep from others what is on its way, however long that takes, for ever. Checkpoint."""
        lease = self._holder.lease
        while True:
            after = 0.0 if lease != self._holder.lease else self._holder.third()
            at_work = any(self._on_their_way.values())
            self._renewal = trio.CancelScope(deadline=trio.current_time() + after if at_work else math.inf)
            with self._renewal:  # as in `Leases`: nobody is woken while nothing is on its way
                await trio.sleep_forever()
            lease = self._holder.lease
            try:
                for taker, deliveries in self._on_their_way.items():
                    await self._defer(taker, deliveries, lease)
            except StoreError as error:
                self._holder.trouble.say("outcomes could not be kept from others", error)

    async def give_back(self) -> None:
        """Leave to others what was not had here, at the end of the run. Checkpoint.

        Raises:
            StoreError: it could not be said. Then others have it once its time is over.
        """
        for taker, deliveries in self._on_their_way.items():
            await self._defer(taker, deliveries.difference(self._had[taker]), 0)

    async def _defer(self, taker: str, deliveries: Iterable[Delivery], seconds: float) -> None:
        batch = list(deliveries)
        for first in range(0, len(batch), _MOST_AT_ONCE):
            await self._holder.store.defer(taker, batch[first : first + _MOST_AT_ONCE], seconds)

    def _settle(self, taker: str, outcome: Outcome[Any]) -> Delivery | None:
        """Await no more that somebody has an outcome; None if it is not kept for whom."""
        dispatch = self._known.get(id(outcome))
        if dispatch is None or taker not in dispatch.takers:
            return None
        dispatch.takers.discard(taker)
        if not dispatch.takers:
            del self._known[id(outcome)]
        return dispatch.delivery

    def _forget(self, taker: str, deliveries: Iterable[Delivery]) -> None:
        """Take it that the store has forgotten these."""
        self._on_their_way[taker].difference_update(deliveries)
        if taker in self._forgotten:
            self._forgotten[taker].update(deliveries)

    def __repr__(self) -> str:
        """Count what is there."""
        on_their_way, had = (sum(map(len, each.values())) for each in (self._on_their_way, self._had))
        return f"<Deliveries {on_their_way} on their way, {had} to acknowledge>"
