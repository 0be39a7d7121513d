"""Endings on their way into the store, and jobs to give back, all joined in batches.

    task ──> endings ──(complete)──> OK ──> outbox
                                     LOST: nobody's

An outcome goes on its way once the store has accepted it, so that nobody sees the same one twice. While the store
cannot be had all of it waits here, and no new task starts at some point, for what waits counts as buffered.

Invariants:

- What waits leaves its queue when the store has answered for it, and not before. A call that fails, or is cancelled,
  leaves all of it where it was; to make it again does no harm.
- `flush` is in one task at a time: the writer's own, and once that has ended the one that closes the run. Whoever adds
  something adds it behind. So the batch that was taken for a call is the head of its queue still when the call is over.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.job import Completion, Reply, Ticket
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.served.trouble import Backoff, Trouble
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["EndedJob", "Writer", "WriterHost"]

_MOST_AT_ONCE = 1000


@attrs.frozen(eq=False)
class EndedJob:
    """The end of a task, and what the store is told of it."""

    outcome: Outcome[Any]
    completion: Completion
    suspect: bool = False
    """Whether its job was a suspect (`decide.poison`), so that the next one may be claimed once the store knows."""


class WriterHost(Protocol):
    """Hears what became of what was written."""

    def accepted(self, ended: EndedJob) -> None:
        """Send on what the store has accepted."""
        ...

    def refused(self, ended: EndedJob) -> None:
        """Let go of what the store has not accepted: the lease was lost."""
        ...

    def caught_up(self) -> None:
        """Hear that nothing waits any more."""
        ...


@uninterrupted
class Writer:
    """Brings the store up to date."""

    def __init__(self, store: Store, trouble: Trouble) -> None:
        self._store = store
        self._trouble = trouble
        self._ended: deque[EndedJob] = deque()
        self._back: deque[tuple[Ticket, float, bool]] = deque()
        self._work = trio.Event()

    @property
    def waiting(self) -> int:
        """The number of outcomes that wait for the store."""
        return len(self._ended)

    def end(self, ended: EndedJob) -> None:
        """Have the end of a job stored."""
        self._ended.append(ended)
        self._work.set()

    @property
    def behind(self) -> bool:
        """Whether the store does not know yet of a job that has ended, or is given back."""
        return bool(self._ended or self._back)

    def tickets(self) -> list[Ticket]:
        """List the leases of the tasks that have ended, which the store does not know yet."""
        return [ended.completion.ticket for ended in self._ended]

    def drop(self) -> int:
        """Forget what waits, at the end of the run; return how many outcomes that were."""
        count = len(self._ended)
        self._ended.clear()
        self._back.clear()
        return count

    def give_back(self, ticket: Ticket, until: float = -math.inf, *, died: bool = False) -> None:
        """Have a job given back, to be ready at a time of trio's clock; whether its scraper ends the process."""
        self._back.append((ticket, until, died))
        self._work.set()

    async def run(self, host: WriterHost) -> None:
        """Bring the store up to date, for ever. Checkpoint. If cancelled, what was not stored still waits here."""
        backoff = Backoff()
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while not await self.flush(host):
                await backoff.pause()
            backoff.over()

    async def flush(self, host: WriterHost) -> bool:
        """Store all that waits; false if the store could not be had. Checkpoint, as `run`."""
        try:
            while self._ended or self._back:
                if self._ended:
                    await self._store_the_ended(host)
                if self._back:
                    await self._store_the_returned()
        except StoreError as error:
            self._trouble.say("the store could not be brought up to date", error, endings=len(self._ended))
            return False
        host.caught_up()
        return True

    async def _store_the_ended(self, host: WriterHost) -> None:
        batch = list(self._ended)[:_MOST_AT_ONCE]
        try:
            await self._store_ended(batch, host)
        except StoreError:
            raise  # the store is down, which is nobody's fault: all of it waits
        except Exception:  # noqa: BLE001 - the store refuses one of them: whose it is comes out one by one
            for ended in batch:
                await self._store_alone(ended, host)

    async def _store_ended(self, batch: Sequence[EndedJob], host: WriterHost) -> None:
        replies = await self._store.complete([ended.completion for ended in batch])
        for ended, reply in zip(batch, replies, strict=True):
            self._ended.popleft()  # before the host hears of it, which looks whether it was the last one
            if reply is Reply.LOST:
                host.refused(ended)
            else:
                host.accepted(ended)

    async def _store_alone(self, ended: EndedJob, host: WriterHost) -> None:
        try:
            await self._store_ended([ended], host)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one job's data must not end the run
            self._ended.popleft()
            logger().error("the end of a job cannot be stored", id=named(ended.completion.ticket.id), exc_info=error)
            host.refused(ended)

    async def _store_the_returned(self) -> None:
        batch = list(self._back)[:_MOST_AT_ONCE]
        now = trio.current_time()
        for until, died in sorted({(max(until, now), died) for _, until, died in batch}):
            tickets = [ticket for ticket, each, fatal in batch if (max(each, now), fatal) == (until, died)]
            await self._store.release(tickets, until - now, died=died)
        for _ in batch:
            self._back.popleft()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Writer {len(self._ended)} ended, {len(self._back)} to give back>"
