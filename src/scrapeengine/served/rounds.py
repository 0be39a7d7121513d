"""Rounds on a store: one at a time, whoever makes it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType

import attrs
import trio

from scrapeengine.errors import EngineBusy, StoreError
from scrapeengine.model.report import Report
from scrapeengine.model.store import Store
from scrapeengine.observe.log import logger
from scrapeengine.schedule.clock import check_trio
from scrapeengine.served.trouble import Trouble
from scrapeengine.uninterrupted import first_of, to_its_end

__all__ = ["Alone", "Rounds"]

_ROUND = "round"


class Alone(AbstractAsyncContextManager[None]):
    """Makes a round on a store: nobody else makes one meanwhile.

    A class, and no generator: what the body raises must leave as it is, and a nursery would put it into a group.
    """

    def __init__(
        self, store: Store, lease: float, trouble: Trouble, lease_now: Callable[[], float] | None = None
    ) -> None:
        """Make it.

        Args:
            store: where.
            lease: the seconds after which another may be made, if this process hangs.
            trouble: says what the store could not be asked.
            lease_now: returns the lease as it is once the round goes on; None: it is not changed.
        """
        self._store = store
        self._lease = lease
        self._lease_now = lease_now or (lambda: lease)
        self._trouble = trouble
        self._owner = uuid.uuid4().hex
        self._manager = trio.open_nursery(strict_exception_groups=True)
        self._nursery: trio.Nursery | None = None

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> None:
        """Begin it. Checkpoint. If cancelled, others may make one at once.

        Raises:
            EngineBusy: somebody makes one.
        """
        if not await self._store.lock(_ROUND, self._owner, self._lease):
            raise EngineBusy("a round on this store is going on; rounds never overlap: wait for its end")
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._keep)

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it, also where this is cancelled: else the next one would have to wait for the lease to end."""
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup as group:  # Ctrl-C, in the main task
            raise first_of(group) from None
        finally:
            with suppress(StoreError):
                await to_its_end(partial(self._store.unlock, _ROUND, self._owner))

    @trio.lowlevel.enable_ki_protection
    async def _keep(self) -> None:
        """Keep the lock, for ever. Should it be lost, jobs are still in one hand each."""
        lease = self._lease
        while True:
            await trio.sleep(lease / 3)
            lease = self._lease_now()
            try:
                if not await self._store.lock(_ROUND, self._owner, lease):
                    logger().warning("another round has begun, for this one was not heard of for too long")
            except StoreError as error:
                self._trouble.say("a round could not be kept alone", error)


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
