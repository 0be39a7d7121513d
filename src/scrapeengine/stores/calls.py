"""The calls of a store on tables: each is a rule, run by a backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice

import attrs
import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.event import Event
from scrapeengine.model.job import (
    Claimed,
    Completion,
    Delivery,
    JobStatus,
    Kept,
    Known,
    NewJob,
    QueueStatistics,
    Reply,
    ShareGrant,
    ShareRequest,
    StoredJob,
    Ticket,
)
from scrapeengine.model.selection import Selection, statuses_of
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Starts
from scrapeengine.model.validators import Validator
from scrapeengine.stores import staged
from scrapeengine.stores.backend import TableBackend
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.rules import beside, closing, leasing, listing, staging
from scrapeengine.stores.rules import jobs as life
from scrapeengine.stores.rules.listing import Done
from scrapeengine.stores.rules.tables import Tables

__all__ = ["TableStore"]

_ENDED = frozenset(status for status in JobStatus if not status.pending)
_FELL_SHORT = frozenset(status for status in JobStatus if status.fell_short)
_PART = 100
"""The most jobs that are changed in one step, of some milliseconds."""


class TableStore:
    """A `Store` on the tables of a backend. Its arguments are checked by who wraps it (`CheckedStore`).

    Calls are checkpoints; one that is cancelled has changed nothing, or has returned.

    Size: the members of the protocol.
    """

    def __init__(self, backend: TableBackend) -> None:
        self._backend = backend
        self._times = backend.times
        self._notifier = backend.notifier
        self.closings = 0
        """See `Store`."""

    def __repr__(self) -> str:
        """Count what is pending, as the last call has seen it."""
        return f"<Store {self._backend.name}: {self._backend.pending:,} pending>"

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same jobs: where others may change something."""
        return math.inf > self._backend.look_again

    @property
    def starts(self) -> Starts | None:
        """See `Store`."""
        return self._backend.starts

    def now(self) -> float:
        """See `Store`."""
        return self._times.now()

    # -- what programs ask for

    async def enqueue(self, jobs: Sequence[NewJob], *, replace: bool = False) -> list[Known]:
        """See `Store`. If it is told to wait for room it waits, and holds nothing meanwhile."""
        if staged.is_large(jobs):
            return await staged.StagedJobs(self._backend, jobs, replace).enqueue()
        most, distinct = self._backend.policy.max_pending, len({(job.platform, job.id) for job in jobs})
        if distinct > most:
            await trio.lowlevel.checkpoint()
            raise StoreFull(staged.never_room(distinct, most))
        while True:
            rung = self._notifier.rung  # before the attempt: room that is made from here on rings it
            try:
                return await self._backend.run(lambda tables: life.enqueue(tables, jobs, replace=replace))
            except StoreFull:
                if self._backend.policy.full == "raise":
                    raise
            with trio.move_on_after(self._backend.look_again):
                await rung.wait()

    async def get(self, platform: str, id: str) -> StoredJob | None:
        """See `Store`."""
        return await self._backend.run(lambda tables: life.get(tables, platform, id), reads=True)

    async def cancel(self, platform: str, id: str) -> bool:
        """See `Store`."""
        return await self._backend.run(lambda tables: life.cancel(tables, platform, id))

    async def position(self, platform: str, id: str) -> int | None:
        """See `Store`."""
        return await self._backend.run(lambda tables: life.position(tables, platform, id), reads=True)

    async def stats(self) -> dict[str, QueueStatistics]:
        """See `Store`."""
        return await self._backend.run(lambda tables: staging.stats(tables, staged.PART))

    async def jobs(
        self,
        *,
        platform: str | None = None,
        status: JobStatus | Collection[JobStatus] | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[StoredJob]:
        """See `Store`."""
        statuses = statuses_of(status)
        return await self._backend.run(
            lambda tables: listing.page(tables, statuses, platform, after, limit), reads=True
        )

    async def retry(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """See `Store`."""
        which = Selection.of(platform, ids, events)
        return await self._in_parts(which, _FELL_SHORT, listing.again_behind, listing.again_of)

    async def forget(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """See `Store`."""
        which = Selection.of(platform, ids, events)
        return await self._in_parts(which, _ENDED, listing.forget_behind, listing.forget_of)

    async def close(self, platform: str, seconds: float) -> None:
        """See `Store`."""
        self.closings += 1
        await self._backend.run(lambda tables: closing.close(tables, platform, seconds))

    async def reopen(self, platform: str) -> None:
        """See `Store`."""
        self.closings += 1
        await self._backend.run(lambda tables: closing.reopen(tables, platform))

    async def pause(self, platform: str) -> None:
        """See `Store`."""
        self.closings += 1
        await self._backend.run(lambda tables: closing.pause(tables, platform, paused=True))

    async def resume(self, platform: str) -> None:
        """See `Store`."""
        self.closings += 1
        await self._backend.run(lambda tables: closing.pause(tables, platform, paused=False))

    async def _in_parts(
        self, which: Selection, statuses: Collection[JobStatus], behind: Callable[..., Done], of: Callable[..., int]
    ) -> int:
        """Do something to the jobs of a selection that have one of some statuses, a part at a time."""
        count = 0
        if which.pairs is None:
            last: tuple[str, str] | None = None
            while True:
                done = await self._backend.run(
                    partial(behind, statuses=statuses, platform=which.platform, after=last, n=_PART)
                )
                count, last = count + done.jobs, done.last
                if last is None:
                    return count
        platforms = await self._backend.run(partial(listing.holding, statuses=statuses), reads=True)
        keys = which.keys(platforms)
        while part := list(islice(keys, _PART)):
            count += await self._backend.run(partial(of, statuses=statuses, keys=part))
        return count

    # -- what an engine asks for

    async def due(self, until: float | None = None) -> list[str]:
        """See `Store`."""
        if until is not None:
            until -= self._times.unix
        return await self._backend.run(lambda tables: self._due(tables, until))

    def _due(self, tables: Tables, until: float | None) -> list[str]:
        found = staging.due(tables, self._by_now(tables.moment, until), staged.PART)
        if not self.shared:  # else who waits asks in any case, for what others have changed
            tables.marks.alarm = leasing.next_time(tables)
        return found

    async def claim(
        self, platform: str, n: int, owner: str, lease: float, *, ids: Collection[str] | None = None
    ) -> list[Claimed]:
        """See `Store`."""
        return await self._backend.run(lambda tables: leasing.claim(tables, platform, n, owner, lease, ids))

    async def renew(self, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
        """See `Store`."""
        return await self._backend.run(lambda tables: leasing.renew(tables, tickets, lease))

    async def complete(self, completions: Sequence[Completion]) -> list[Reply]:
        """See `Store`."""
        return await self._backend.run(lambda tables: life.complete(tables, completions))

    async def release(self, tickets: Sequence[Ticket], delay: float = 0.0, *, died: bool = False) -> list[Reply]:
        """See `Store`."""
        return await self._backend.run(lambda tables: leasing.release(tables, tickets, delay, died=died))

    async def undelivered(self, sink: str, n: int, lease: float) -> list[Kept]:
        """See `Store`."""
        return await self._backend.run(lambda tables: beside.undelivered(tables, sink, n, lease))

    async def defer(self, sink: str, deliveries: Sequence[Delivery], seconds: float) -> None:
        """See `Store`."""
        await self._backend.run(lambda tables: beside.defer(tables, sink, deliveries, seconds))

    async def acknowledge(self, sink: str, deliveries: Sequence[Delivery], position: Position | None = None) -> Reply:
        """See `Store`."""
        try:
            return await self._backend.run(lambda tables: beside.acknowledge(tables, sink, deliveries, position))
        except beside.NotOwed as refusal:
            return refusal.reply

    async def positions(self, sink: str) -> dict[str, str]:
        """See `Store`."""
        return await self._backend.run(lambda tables: tables.outbox.positions(sink), reads=True)

    async def recall(self, platform: str, url: str) -> Validator | None:
        """See `Store`."""
        return await self._backend.recall(platform, url)

    async def hasten(self, ids: Collection[str] | None = None) -> int:
        """See `Store`."""
        return await self._backend.run(lambda tables: leasing.hasten(tables, ids))

    async def lock(self, name: str, owner: str, lease: float) -> bool:
        """See `Store`."""
        return await self._backend.run(lambda tables: beside.lock(tables, name, owner, lease))

    async def unlock(self, name: str, owner: str) -> None:
        """See `Store`."""
        await self._backend.run(lambda tables: beside.unlock(tables, name, owner))

    async def share(
        self, owner: str, share_requests: Mapping[str, ShareRequest], lease: float
    ) -> dict[str, ShareGrant]:
        """See `Store`."""
        wanted = {
            platform: _moved(share_request, -self._times.unix) for platform, share_request in share_requests.items()
        }
        shares = await self._backend.run(
            lambda tables: beside.share(tables, owner, wanted, lease, self._times.ahead(tables.moment))
        )
        # Who was answered looks at `now` before anybody can move it: what is said here is worth the same there.
        return {platform: _shown(given, self._times.unix) for platform, given in shares.items()}

    async def wait(self, at_most: float) -> None:
        """See `Store`. It returns at once if something has become ready since `due`, or `claim`, looked for it."""
        until, count = trio.current_time() + at_most, self._notifier.count
        mine, waiting = object(), self._notifier.waiting
        try:
            while True:
                rung = self._notifier.rung  # before the look: what changes from here on rings it
                waiting[mine] = self._times.awake + until
                alarm = await self._next_alarm()
                now = trio.current_time()
                stirred = self._notifier.fresh or self._notifier.count != count
                if stirred or alarm is None or now >= min(until, alarm):
                    await trio.lowlevel.checkpoint()
                    return
                # What comes later than that is seen then. Each has its own: another one may wait for longer.
                waiting[mine] = self._times.awake + min(until, alarm)
                with trio.move_on_at(min(until, alarm, now + self._backend.look_again)):
                    await rung.wait()
                if trio.current_time() >= alarm:
                    return  # some alarms are of no instant but their own: a suspect may be tried from then on
        finally:
            del waiting[mine]

    async def _next_alarm(self) -> float | None:
        """Return when by trio's clock something becomes ready, if nobody changes anything; None: others have.

        Checkpoint, or none.
        """
        notifier = self._notifier
        if not self.shared and notifier.asked == notifier.count:  # whatever came since has moved the alarm
            alarm = self._times.deadline(notifier.alarm)
            if alarm > trio.current_time():
                return alarm
        version = await self._backend.run(_look, reads=True)
        seen, self._notifier.version = self._notifier.version, version
        if seen not in {None, version}:
            self._notifier.stir()
            return None
        return self._times.deadline(self._notifier.alarm)

    def _by_now(self, moment: Moment, at: float | None) -> float | None:
        """Return when by `now` it is a time of trio's clock."""
        return None if at is None else moment.by_now(at + self._times.ahead(moment))


def _moved(share_request: ShareRequest, seconds: float) -> ShareRequest:
    if share_request.closed_until is None:
        return share_request
    return attrs.evolve(share_request, closed_until=share_request.closed_until + seconds)


def _shown(share: ShareGrant, seconds: float) -> ShareGrant:
    closed = None if share.closed_until is None else share.closed_until + seconds
    return attrs.evolve(share, times=tuple(at + seconds for at in share.times), closed_until=closed)


def _look(tables: Tables) -> int:
    tables.marks.alarm = leasing.next_time(tables)
    return tables.version
