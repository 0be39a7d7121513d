"""A store in memory: all that a store does, for as long as the process lives.

Nothing polls, and no thread runs: under a simulated clock everything happens exactly when it should.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from scrapeengine.errors import StoreClosed
from scrapeengine.stores.clock import Clock, Reading
from scrapeengine.stores.facade import Facade
from scrapeengine.stores.memory.beside import DictOutboxTable, DictPageTable, DictSharingTable
from scrapeengine.stores.memory.jobs import DictJobTable
from scrapeengine.stores.moment import BEGINNING, Moment, is_of, later, restarted
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.restarting import restart
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Tables

__all__ = ["MemoryStore", "in_memory"]

T = TypeVar("T")


@attrs.define(eq=False, repr=False)
class DictTables:
    """All that a store in memory keeps."""

    settings: StorePolicy
    moment: Moment = attrs.field(default=BEGINNING, init=False)
    version: int = attrs.field(default=0, init=False)
    marks: Marks = attrs.field(factory=Marks, init=False)
    jobs: DictJobTable = attrs.field(factory=DictJobTable, init=False)
    pages: DictPageTable = attrs.field(factory=DictPageTable, init=False)
    outbox: DictOutboxTable = attrs.field(factory=DictOutboxTable, init=False)
    pool: DictSharingTable = attrs.field(factory=DictSharingTable, init=False)

    @property
    def awake(self) -> float:
        """See `Tables`."""
        return self.moment.awake

    @property
    def now(self) -> float:
        """See `Tables`."""
        return self.moment.now

    def begin(self, reading: Reading) -> Marks:
        """Begin a call: what it changes goes into new marks."""
        before = self.moment
        known = is_of(before, reading)
        self.moment = later(before, reading) if known else restarted(before, reading)
        self.marks = self.jobs.marks = Marks(self.moment.asleep)
        if not known:
            restart(self, before)
        return self.marks


class MemoryStore(Facade):
    """A store in memory. Only its own task tree can use it, and what it has is lost when it is left."""

    def __init__(self, settings: StorePolicy, clock: Clock) -> None:
        self._tables = DictTables(settings)
        self._tables.begin(clock.read())
        super().__init__(settings, clock, self._tables.moment)
        self._closed = False

    def close(self) -> None:
        """Let all calls raise `StoreClosed` from now on, those that wait too."""
        self._closed = True
        self._notifier.ring()

    async def _run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:  # noqa: ARG002 - all is quick here
        self._check_open()
        await trio.lowlevel.checkpoint()
        self._check_open()
        marks = self._tables.begin(self._times.clock.read())
        self._times.adopt(self._tables.moment)
        answer = rule(self._tables)
        self._notifier.take(marks)
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this store has been left: call it within its `async with`")


@asynccontextmanager
async def in_memory(settings: StorePolicy, clock: Clock | None = None) -> AsyncIterator[MemoryStore]:
    """Open a store in memory; without a clock by those of the trio run."""
    await trio.lowlevel.checkpoint()
    store = MemoryStore(settings, clock or Clock.of_this_run())
    try:
        yield store
    finally:
        store.close()
