"""A store in memory: all that a store does, for as long as the process lives.

Nothing polls, and no thread runs: under a simulated clock everything happens exactly when it should.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import attrs
import trio

from scrapeengine.errors import StoreClosed
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.stores.backend import Notifier, Times
from scrapeengine.stores.calls import TableStore
from scrapeengine.stores.clock import Clock, Reading
from scrapeengine.stores.memory.beside import DictOutboxTable, DictPageTable, DictSharingTable, SetSeenTable
from scrapeengine.stores.memory.jobs import DictJobTable
from scrapeengine.stores.memory.staging import DictStagingTable
from scrapeengine.stores.moment import BEGINNING, Moment, is_of, later, restarted
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules import beside
from scrapeengine.stores.rules.leasing import restart
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Tables

__all__ = ["MemoryBackend", "in_memory", "open_memory"]

T = TypeVar("T")


@attrs.define(eq=False, repr=False)
class DictTables:
    """All that a store in memory keeps.

    Size: what `Tables` has.
    """

    policy: StorePolicy
    moment: Moment = attrs.field(default=BEGINNING, init=False)
    version: int = attrs.field(default=0, init=False)
    opening: int | None = attrs.field(default=None, init=False)
    """Nobody outlives a store in memory, and tells its openings apart."""
    began: float = attrs.field(default=-math.inf, init=False)
    marks: Marks = attrs.field(factory=Marks, init=False)
    jobs: DictJobTable = attrs.field(factory=DictJobTable, init=False)
    pages: DictPageTable = attrs.field(factory=DictPageTable, init=False)
    seen: SetSeenTable = attrs.field(factory=SetSeenTable, init=False)
    outbox: DictOutboxTable = attrs.field(factory=DictOutboxTable, init=False)
    staging: DictStagingTable = attrs.field(factory=DictStagingTable, init=False)
    sharing: DictSharingTable = attrs.field(factory=DictSharingTable, init=False)

    @property
    def awake(self) -> float:
        """See `Tables`."""
        return self.moment.awake

    @property
    def now(self) -> float:
        """See `Tables`."""
        return self.moment.now

    def strike(self, opening: int) -> bool:
        """See `Tables`."""
        del opening
        return True

    def begin(self, reading: Reading) -> Marks:
        """Begin a call: what it changes goes into new marks."""
        before = self.moment
        known = is_of(before, reading)
        self.moment = later(before, reading) if known else restarted(before, reading)
        self.marks = self.jobs.marks = Marks(self.moment.asleep)
        if not known:
            restart(self, before)
        return self.marks


class MemoryBackend:
    """Tables in memory. Only their own task tree can use them, and what is in them is lost when they are left."""

    name = "memory"
    look_again = math.inf
    starts = None

    def __init__(self, policy: StorePolicy, clock: Clock) -> None:
        self.policy = policy
        self._tables = DictTables(policy)
        self._tables.begin(clock.read())
        self.notifier = Notifier()
        self.times = Times(clock, self._tables.moment, self.notifier)
        self._closed = False

    @property
    def pending(self) -> int:
        """See `TableBackend`."""
        return self._tables.jobs.total(pending=True)

    async def recall(self, platform: str, url: str) -> Validator | None:
        """See `TableBackend`. What is known of a URL hangs on no time, so no moment is adopted for it."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        self._check_open()
        return beside.recall(self._tables, platform, url)

    async def run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:  # noqa: ARG002 - all is quick here
        """See `TableBackend`."""
        self._check_open()
        # Before anything is done, so that a call that is cancelled has done nothing. The store may be left meanwhile.
        await trio.lowlevel.checkpoint()
        self._check_open()
        marks = self._tables.begin(self.times.clock.read())
        self.times.adopt(self._tables.moment)
        answer = rule(self._tables)
        self.notifier.take(marks)
        return answer

    def close(self) -> None:
        """Let all calls raise `StoreClosed` from now on, those that wait too."""
        self._closed = True
        self.notifier.asked = -1  # who waits asks the tables again, and so hears of it
        self.notifier.ring()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this store has been left: call it within its `async with`")


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def in_memory(policy: StorePolicy, clock: Clock | None = None) -> AsyncIterator[TableStore]:
    """Open a store in memory; without a clock by those of the trio run."""
    await trio.lowlevel.checkpoint()
    backend = MemoryBackend(policy, clock or Clock.of_this_run())
    try:
        yield TableStore(backend)
    finally:
        backend.close()


def open_memory(url: str, policy: StorePolicy) -> AbstractAsyncContextManager[TableStore]:
    """Open the store of "memory:", which is a new one each time."""
    if url != "memory:":
        raise ValueError(f"{told(url)} is not the URL of a store: one in memory is 'memory:', with nothing behind it")
    return in_memory(policy)
