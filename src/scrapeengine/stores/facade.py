"""The calls of a store, whatever it keeps its things on: each is looked at, and then run as a rule on the tables."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import attrs
import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.checks import number, whole
from scrapeengine.model.job import (
    Claimed,
    Completion,
    Delivery,
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
from scrapeengine.model.validators import Validator
from scrapeengine.stores import checks
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.notifier import Notifier
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules import arriving, completing, keeping, leasing, sharing
from scrapeengine.stores.rules.tables import Tables
from scrapeengine.stores.times import Times

__all__ = ["Facade"]

T = TypeVar("T")


class Facade(ABC):
    """A `Store` on tables. Calls are checkpoints; one that is cancelled has changed nothing, or has returned."""

    _LOOK_AGAIN = math.inf
    """Seconds after which to look whether others have changed something; infinite if there are no others."""

    def __init__(self, settings: StorePolicy, clock: Clock, moment: Moment) -> None:
        self._settings = settings
        self._notifier = Notifier()
        self._times = Times(clock, moment, self._notifier)

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same jobs: where others may change something."""
        return math.inf > self._LOOK_AGAIN

    def now(self) -> float:
        """See `Store`."""
        return self._times.now()

    @abstractmethod
    async def _run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:
        """Run a rule on the tables, whole or not at all, and tell the notifier. Checkpoint.

        Args:
            rule: what to do.
            reads: that it changes nothing.
        """

    # -- what programs ask for

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Known]:
        """See `Store`. If it is told to wait for room it waits, and holds nothing meanwhile."""
        wanted = checks.new_jobs(jobs)
        most, distinct = self._settings.most_pending, len({(job.platform, job.id) for job in wanted})
        if distinct > most:
            await trio.lowlevel.checkpoint()
            raise StoreFull(f"a batch of {distinct:,} jobs never has room where {most:,} may be pending: cut it up")
        while True:
            rung = self._notifier.rung
            try:
                return await self._run(lambda tables: arriving.enqueue(tables, wanted))
            except StoreFull:
                if self._settings.full == "raise":
                    raise
            with trio.move_on_after(self._LOOK_AGAIN):
                await rung.wait()

    async def get(self, platform: str, id: str) -> StoredJob | None:
        """See `Store`."""
        checks.words(platform=platform, id=id)
        return await self._run(lambda tables: arriving.get(tables, platform, id), reads=True)

    async def cancel(self, platform: str, id: str) -> bool:
        """See `Store`."""
        checks.words(platform=platform, id=id)
        return await self._run(lambda tables: arriving.cancel(tables, platform, id))

    async def position(self, platform: str, id: str) -> int | None:
        """See `Store`."""
        checks.words(platform=platform, id=id)
        return await self._run(lambda tables: arriving.position(tables, platform, id), reads=True)

    async def stats(self) -> dict[str, QueueStatistics]:
        """See `Store`."""
        return await self._run(arriving.stats)

    # -- what an engine asks for

    async def due(self, until: float | None = None) -> list[str]:
        """See `Store`."""
        if until is not None:
            number(until, "until", zero=True, endless=True)
            until -= self._times.unix
        return await self._run(lambda tables: leasing.due(tables, self._by_now(tables.moment, until)))

    async def claim(
        self, platform: str, n: int, owner: str, lease: float, *, ids: Collection[str] | None = None
    ) -> list[Claimed]:
        """See `Store`."""
        checks.words(platform=platform, owner=owner)
        whole(n, "n", least=0)
        number(lease, "lease", instead="; it is seconds")
        wanted = checks.ids_or_all(ids)
        return await self._run(lambda tables: leasing.claim(tables, platform, n, owner, lease, wanted))

    async def renew(self, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
        """See `Store`."""
        number(lease, "lease", instead="; it is seconds")
        held = checks.tickets(tickets)
        return await self._run(lambda tables: leasing.renew(tables, held, lease))

    async def complete(self, completions: Sequence[Completion]) -> list[Reply]:
        """See `Store`."""
        given = checks.completions(completions)
        return await self._run(lambda tables: completing.complete(tables, given))

    async def release(self, tickets: Sequence[Ticket], delay: float = 0.0) -> list[Reply]:
        """See `Store`."""
        number(delay, "delay", zero=True, instead="; it is seconds")
        held = checks.tickets(tickets)
        return await self._run(lambda tables: leasing.release(tables, held, delay))

    async def undelivered(self, n: int, lease: float) -> list[Kept]:
        """See `Store`."""
        whole(n, "n", least=0)
        number(lease, "lease", instead="; it is seconds")
        return await self._run(lambda tables: keeping.undelivered(tables, n, lease))

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `Store`."""
        reached = checks.deliveries(deliveries)
        await self._run(lambda tables: keeping.acknowledge(tables, reached))

    async def recall(self, platform: str, url: str) -> Validator | None:
        """See `Store`."""
        checks.words(platform=platform, url=url)
        return await self._run(lambda tables: keeping.recall(tables, platform, url), reads=True)

    async def hasten(self, ids: Collection[str] | None = None) -> int:
        """See `Store`."""
        wanted = checks.ids_or_all(ids)
        return await self._run(lambda tables: leasing.hasten(tables, wanted))

    async def lock(self, name: str, owner: str, lease: float) -> bool:
        """See `Store`."""
        checks.words(name=name, owner=owner)
        number(lease, "lease", instead="; it is seconds")
        return await self._run(lambda tables: keeping.lock(tables, name, owner, lease))

    async def unlock(self, name: str, owner: str) -> None:
        """See `Store`."""
        checks.words(name=name, owner=owner)
        await self._run(lambda tables: keeping.unlock(tables, name, owner))

    async def share(
        self, owner: str, share_requests: Mapping[str, ShareRequest], lease: float
    ) -> dict[str, ShareGrant]:
        """See `Store`."""
        checks.words(owner=owner)
        number(lease, "lease", instead="; it is seconds")
        wanted = {
            platform: _moved(share_request, -self._times.unix)
            for platform, share_request in checks.wanted(share_requests).items()
        }
        shares = await self._run(
            lambda tables: sharing.share(tables, owner, wanted, lease, self._times.ahead(tables.moment))
        )
        # Who was answered looks at `now` before anybody can move it: what is said here is worth the same there.
        return {platform: _shown(given, self._times.unix) for platform, given in shares.items()}

    async def wait(self, at_most: float) -> None:
        """See `Store`. It returns at once if something has become ready since `due`, or `claim`, looked for it."""
        number(at_most, "at_most", zero=True, endless=True, instead="; it is seconds")
        until, count = trio.current_time() + at_most, self._notifier.count
        while True:
            rung = self._notifier.rung
            alarm = await self._next_alarm()
            # What comes later than that is seen then: it need not wake anybody.
            now = trio.current_time()
            self._notifier.alarm = min(self._notifier.alarm, self._times.awake + until)
            stirred = self._notifier.fresh or self._notifier.count != count
            if stirred or alarm is None or now >= min(until, alarm):
                return
            with trio.move_on_at(min(until, alarm, now + self._LOOK_AGAIN)):
                await rung.wait()

    async def _next_alarm(self) -> float | None:
        """Return when by trio's clock something becomes ready, if nobody changes anything; None: others have."""
        version = await self._run(_look, reads=True)
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
    at = tables.jobs.next_time(tables.moment.asleep)
    tables.marks.alarm = math.inf if at is None else at
    return tables.version
