"""Rounds on a store: one at a time, whoever makes it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import attrs
import trio

from scrapeengine.errors import EngineBusy, StoreError
from scrapeengine.model.report import Report
from scrapeengine.model.store import Store
from scrapeengine.observe.log import logger
from scrapeengine.schedule.clock import check_trio
from scrapeengine.served.trouble import Trouble
from scrapeengine.tasks.signals import cancels

__all__ = ["Rounds", "alone"]

_ROUND = "round"


@asynccontextmanager
async def alone(store: Store, lease: float, trouble: Trouble) -> AsyncIterator[None]:
    """Make a round on a store: nobody else makes one meanwhile.

    Raises:
        EngineBusy: somebody does.

    Checkpoint. If cancelled, others may make one at once; if the process dies, within a second, where the store sees
    deaths; if it hangs, when the lease ends.
    """
    owner = uuid.uuid4().hex
    if not await store.lock(_ROUND, owner, lease):
        raise EngineBusy("a round on this store is going on; rounds never overlap: wait for its end")
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep, store, owner, lease, trouble)
            try:
                yield
            except BaseException as error:
                if cancels(error):
                    raise
                failure = error  # raised below, in no group
            nursery.cancel_scope.cancel()
    finally:
        # Shielded, or the next round would have to wait until the lease ends; as it does where the store is down.
        with trio.CancelScope(shield=True), suppress(StoreError):
            await store.unlock(_ROUND, owner)
    if failure is not None:
        raise failure


@trio.lowlevel.enable_ki_protection
async def _keep(store: Store, owner: str, lease: float, trouble: Trouble) -> None:
    """Keep the lock, for ever. Should it be lost, jobs are still in one hand each."""
    while True:
        await trio.sleep(lease / 3)
        try:
            if not await store.lock(_ROUND, owner, lease):
                logger().warning("another round has begun, for this one was not heard of for too long")
        except StoreError as error:
            trouble.say("a round could not be kept alone", error)


class Rounds:
    """A round each so many seconds, for ever: an async iterator of their reports. To leave the loop is to stop.

    A round that takes longer says so in the log. The rounds that it has missed are not made; the next one is made when
    it would have been due anyway. A class, and no generator, which would have to be closed.
    """

    def __init__(self, seconds: float, make: Callable[[], Awaitable[Report]], trouble: Trouble) -> None:
        """Make it.

        Args:
            seconds: from the beginning of one round to that of the next.
            make: makes a round.
            trouble: says why one could not be made.
        """
        self._trouble = trouble
        self._seconds = seconds
        self._make = make
        self._due: float | None = None

    def __aiter__(self) -> Rounds:
        """Return itself."""
        return self

    async def __anext__(self) -> Report:
        """Wait until the next round is due, and make it. Checkpoint. If cancelled, the round is cancelled."""
        check_trio()
        while True:
            if self._due is not None:
                await trio.sleep_until(self._due)
            begun = trio.current_time()
            due = self._due = begun if self._due is None else self._due
            try:
                report = await self._make()
            except StoreError as error:
                self._trouble.say("a round could not be made, for want of the store", error)
                self._go_on(due)
                continue
            # Rounds that were missed because nobody asked for the next one are not this one's fault.
            late = max(0.0, trio.current_time() - max(begun, due) - self._seconds)
            if late > 0:
                logger().warning(
                    "a round was still running when the next was due",
                    took=round(report.elapsed, 3),
                    every=self._seconds,
                )
            self._go_on(due)
            return attrs.evolve(report, overran=late)

    def _go_on(self, due: float) -> None:
        """Let the next round be due when one would be due anyway."""
        self._due = due + (1 + max(0, int((trio.current_time() - due) // self._seconds))) * self._seconds
