"""Tables in a file: one task runs all calls on its one connection, as many as there are in one transaction.

    call ──> queued ──(taken)──> transaction in the connection's thread ──> committed ──> answered
               └──> cancelled, or the store is left: nothing has happened

- A call is cancelled only while it is queued. One that is taken is waited for, so who has called knows how it went.
- Before it takes what is queued, the task lets all others run that can: what they call for goes into the same
  transaction. So a store that is used by many syncs once for many.
- While others keep the file locked, what was taken goes back: meanwhile it can be cancelled, or time out
  (`busy_timeout`).

Invariants:

- A call is queued, or taken, or over, and is over once: answered, or cancelled while it was queued.
- While a call is taken only the thread writes to it, but for `raise_cancel`; the loop looks at it when its transaction
  is over.
- Of two calls that write the one that was made first is run first, also when it had to go back.

Rejected: to wait for the lock within SQLite. It would keep the thread, and with it whoever leaves the store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import attrs
import trio

from scrapeengine.errors import StoreClosed, StoreError
from scrapeengine.model.store import Starts
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.standstill import Standstill
from scrapeengine.stores.backend import Notifier, Times
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.rules import beside
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Tables
from scrapeengine.stores.sqlite.beside import recalled
from scrapeengine.stores.sqlite.driver import ThreadedConnection, is_busy, translated
from scrapeengine.stores.sqlite.liveness import Liveness
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.transaction import Seen, StoreCall, transact

__all__ = ["Committer"]

T = TypeVar("T")
_TURNS = 2
"""How often to let all others run before their calls are taken: whoever was answered calls again in the second turn."""
_SHORTEST, _LONGEST = 0.001, 0.01
"""Seconds between two attempts to get a file that others keep locked."""
_LEFT = "this store has been left: call it within its `async with`"


@attrs.define(eq=False)
class Waiting(StoreCall):
    """A call, and who waits for it."""

    task: trio.lowlevel.Task
    busy_until: float
    """When others have kept the file locked for too long."""
    raise_cancel: Callable[[], Any] | None = attrs.field(default=None, init=False)
    """Raises the cancellation that came while the call was taken."""
    given_up: bool = attrs.field(default=False, init=False)
    """Whether it was taken, had to go back, and had been cancelled by then."""


class Committer:
    """The backend of a store in a file: takes calls, and runs them in transactions until it is closed.

    Size: 11 attributes: what its protocol has, what a transaction is run with, and the queue.
    """

    look_again = 0.25

    def __init__(
        self, db: ThreadedConnection, path: str, policy: SqlitePolicy, clock: Clock, seen: Seen, liveness: Liveness
    ) -> None:
        self.policy = policy
        self.notifier = Notifier()
        self.times = Times(clock, seen.moment, self.notifier)
        self.pending = seen.pending
        self._db = db
        self._path = path
        self._liveness = liveness
        self._queued: dict[Waiting, None] = {}
        self._wanted = trio.Event()
        self._closed = False
        self._transact = db.run if not Standstill.needed() else self._transact_in_step

    @property
    def name(self) -> str:
        """See `TableBackend`."""
        return f"sqlite {told(self._path)}"

    @property
    def starts(self) -> Starts | None:
        """See `TableBackend`."""
        return self._liveness.starts

    async def recall(self, platform: str, url: str) -> Validator | None:
        """See `TableBackend`. Read here and now, beside what is being written; where that fails, as all else."""
        await trio.lowlevel.checkpoint()
        if self._db.reader is not None and not self._closed:
            # A lock, or a damaged file: what is wrong is seen again, and said, on the way of all calls.
            with suppress(Exception):
                return recalled(self._db.reader, platform, url)
        return await self.run(lambda tables: beside.recall(tables, platform, url), reads=True)

    async def run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:
        """See `TableBackend`. If cancelled, nothing has happened; once it is taken it cannot be cancelled.

        Raises:
            StoreError: nothing has happened.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise StoreClosed(_LEFT)
        waiting = Waiting(rule, reads, trio.lowlevel.current_task(), trio.current_time() + self.policy.busy_timeout)
        self._queued[waiting] = None
        self._wanted.set()

        def abort(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            if waiting in self._queued:
                del self._queued[waiting]
                return trio.lowlevel.Abort.SUCCEEDED
            waiting.raise_cancel = raise_cancel
            return trio.lowlevel.Abort.FAILED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if waiting.given_up and waiting.raise_cancel is not None:
            waiting.raise_cancel()
        # Else what it did counts. A cancellation that came meanwhile meets its caller at the next checkpoint.
        error = waiting.error
        if error is None:
            answer: T = waiting.answer
            return answer
        if isinstance(error, StoreError):
            raise error
        raise translated(error, self._path) from error

    @trio.lowlevel.enable_ki_protection
    async def serve(self) -> None:
        """Run calls until `close`. No error leaves; a cancellation does not reach it."""
        with trio.CancelScope(shield=True):
            while not self._closed:
                await self._wanted.wait()
                for _ in range(_TURNS):
                    await trio.lowlevel.checkpoint()
                await self._run_queued()

    def close(self) -> None:
        """Take no more calls, and end those that are not taken. `serve` ends when the others have."""
        self._closed = True
        self._wanted.set()
        self._drop_queued()
        self.notifier.ring()

    async def _run_queued(self) -> None:
        pause = _SHORTEST
        while self._queued and not self._closed:
            calls, self._queued = list(self._queued), {}
            if await self._commit(calls):
                break
            # What only reads need not wait for the lock with the others.
            reads = [call for call in self._queued if call.reads]
            for call in reads:
                del self._queued[call]
            if reads:
                await self._commit(reads)
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        # Not with calls in the queue, which would wait for the next one; nor once closed, for nobody would end `serve`.
        if not self._queued and not self._closed:
            self._wanted = trio.Event()

    async def _commit(self, calls: list[Waiting]) -> bool:
        """Run calls in one transaction, and answer them; false if they are queued again, since the file is locked."""
        try:
            seen = await self._transact(transact, calls, self.policy, self.times.clock, self._liveness)
        except Exception as error:  # noqa: BLE001 - it is the callers' own
            if is_busy(error):
                self._put_back(calls, error)
                return False
            for call in calls:  # all of it was taken back, what went well in its savepoint too
                call.error, call.marks = error, Marks()
        else:
            self.pending = seen.pending
            self._adopt(seen, calls)
        for call in calls:
            self._answer(call)
        return True

    async def _transact_in_step(self, *call: Any) -> Any:
        """Run a call in the connection's thread, while the clock, which is a simulated one, stands still."""
        with Standstill():
            return await self._db.run(*call)

    def _adopt(self, seen: Seen, calls: list[Waiting]) -> None:
        """Adopt a moment, and tell who waits. What a damaged file says of times must keep nobody from their answer."""
        try:
            self.times.adopt(seen.moment)
            for marks in seen.freed:
                self.notifier.take(marks)
            for call in calls:
                self.notifier.take(call.marks)
        except Exception as error:  # noqa: BLE001 - it is the callers' own
            for call in calls:
                call.error = call.error or error

    def _put_back(self, calls: list[Waiting], error: Exception) -> None:
        now, later = trio.current_time(), self._queued
        self._queued = {}
        for call in calls:
            if call.raise_cancel is not None:
                call.given_up = True
                self._answer(call)
            elif call.busy_until <= now:
                call.error = error
                self._answer(call)
            else:
                self._queued[call] = None
        self._queued |= later  # behind those that were there before
        if self._closed:  # in the meantime, when these were not in the queue
            self._drop_queued()

    def _drop_queued(self) -> None:
        calls, self._queued = self._queued, {}
        for call in calls:
            call.error = StoreClosed(_LEFT)
            self._answer(call)

    def _answer(self, call: Waiting) -> None:
        trio.lowlevel.reschedule(call.task)
