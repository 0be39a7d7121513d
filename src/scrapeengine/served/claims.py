"""Claims on a store: they bring the jobs of a served run, lane by lane, as far as each has room.

Two loops. One asks the store which platforms have ready jobs, whenever something there may have changed; the other
claims for those of them whose lane has room, whenever that may have changed. What was claimed waits in the agenda like
anything else, so all that is decided about who runs now is decided in one place.

A round has no such first loop, for it asks only as it begins and ends. On a store that nobody shares another one hears
there what is closed or paused meanwhile.

A lane has in hand what it can start now, and half its limit beyond that, so that it need not wait for the store between
two tasks. More would only keep jobs from other engines, and from more urgent ones that come later.

Invariants:

- What the store has handed out is with the desk before the next checkpoint. So a run that is stopped in the middle of a
  call has in hand, and gives back, all that was claimed for it.
- For one platform there is one claim at a time, of no more than its lane has room for: all claims of one look are over
  before the next look.
- A run that has an end (a round, or `until`) ends after the store was asked what is left, and nothing was claimed or in
  hand since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Protocol

import attrs
import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.job import Claimed
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.others import Others
from scrapeengine.served.trouble import Backoff
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Claims", "Desk", "Finish", "ReadyPlatforms", "Round"]

_AGAIN = 1.0
"""Seconds after which a run that waits for its end looks again: that others have ended their jobs is no news."""
_EAR = 0.2
"""Seconds between two times at which a round hears what was closed or paused: less than the quarter of law 3."""
_SAME = 0.01
"""Seconds by which two readings of two clocks may differ, though nobody has set one."""


@attrs.frozen(kw_only=True, repr=False)
class Round:
    """The jobs that one round works on, and no others."""

    until: float
    """Jobs that are delayed beyond this Unix time, by the store's clock as it stood then, are the next round's."""
    begun: float
    """The same instant by trio's clock."""
    ids: Collection[str] | None = None
    """The ids of the jobs; None: all."""
    hasten: bool = False
    """Whether those that recur and are not due are made ready first. The run does so, for until it has begun it may be
    refused, and then nothing must have changed."""
    early: float = 0.0
    """By how many seconds events may be due again sooner than their cadence says, so as to be in the next round."""

    @classmethod
    def from_now(
        cls, store: Store, ids: Collection[str] | None = None, early: float = 0.0, *, hasten: bool = False
    ) -> Round:
        """Begin one."""
        return cls(until=store.now(), begun=trio.current_time(), ids=ids, early=early, hasten=hasten)

    def until_by(self, holder: Leaseholder) -> float:
        """Return `until` by the clock of a store as it stands now: somebody may have set it since."""
        until = self.begun + holder.shift()
        return self.until if abs(until - self.until) <= _SAME else until


class Desk(Protocol):
    """Takes jobs that were claimed, and says for how many more there is room."""

    def opens_at(self, platform: str) -> float:
        """Say until when a platform is closed, in trio's time; if that is over, it is open."""
        ...

    def wanted(self, platform: str) -> int:
        """Say for how many more jobs the lane of a platform has room."""
        ...

    def room(self) -> int:
        """Say for how many more jobs there is room in all lanes together."""
        ...

    def accept(self, claimed: Sequence[Claimed], until: float) -> None:
        """Take jobs, and the time at which their leases end."""
        ...

    def is_busy(self) -> bool:
        """Say whether the run has anything in hand."""
        ...

    def leave_closed(self) -> None:
        """Give back all that is in hand if all of it only waits for closed platforms."""
        ...

    def leave_paused(self) -> None:
        """Give back what is parked where the limit is 0, if nothing else is in hand that can go on now."""
        ...

    async def hear(self, ready: Collection[str]) -> None:
        """Hear, before anything is claimed, whether these platforms were closed or reopened. Checkpoint, or none."""
        ...


class Finish(Protocol):
    """The end of a run."""

    @property
    def leaves_closed(self) -> bool:
        """Whether it leaves aside what waits for closed platforms."""
        ...

    async def reached(self) -> bool:
        """Say whether the run may end, which has nothing in hand and found nothing to claim. Checkpoint, or none.

        Raises:
            ValueError: it never will.
            StoreError: the store could not be asked.
        """
        ...


@attrs.define(eq=False, repr=False)
class ReadyPlatforms:
    """The platforms that have ready jobs in the store, as far as we know, and those of them for which to claim.

    Written by whoever has news: `names` by the claims, which strike out what a claim has emptied; `roomy` by all that
    makes room in a lane, and by the claims, which take out what they serve; `news` is set by all of these, and replaced
    by the claims before each look.
    """

    everything: bool
    """Whether news of any platform is worth a look: in a run that has to see its end."""
    names: set[str] = attrs.field(factory=set, init=False)
    """Platforms that have ready jobs."""
    roomy: dict[str, None] = attrs.field(factory=dict, init=False)
    """The ones among them whose lanes may have room, in the order in which they are to be served."""
    news: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when there may be something to claim."""
    unknown: bool = attrs.field(default=False, init=False)
    """Whether the store may have more that is ready than it has said: in a round, which does not wait for its word."""

    def wake(self) -> None:
        """Look at all lanes again."""
        if self.names or self.everything:
            self.roomy |= dict.fromkeys(sorted(self.names))
            self.news.set()

    def room(self, platform: str) -> None:
        """Look at one lane again."""
        if platform in self.names or self.roomy:
            self.roomy.setdefault(platform)
            self.news.set()
        elif self.everything:
            self.news.set()

    def look_again(self) -> None:
        """Ask the store again what is ready."""
        self.unknown = self.everything
        self.news.set()

    def found(self, platforms: Collection[str]) -> None:
        """Hear from the store which platforms have ready jobs."""
        self.names.update(platforms)
        self.roomy |= dict.fromkeys(platforms)
        self.news.set()


@uninterrupted
class Claims:
    """Claims jobs for a run. It is what `Intake` is for a run over a source; implements `run.backing.JobSource`.

    Size: 12 attributes.
    """

    def __init__(
        self,
        holder: Leaseholder,
        desk: Desk,
        ready: ReadyPlatforms,
        alarms: Alarms,
        *,
        only: Round | None,
        finish: Finish | None,
        others: Others | None,
    ) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it.
            desk: takes them.
            ready: the platforms for which to claim.
            alarms: the run's.
            only: the round that it is for; None: all that is due.
            finish: says when the run ends; None: never.
            others: says what they have, where nothing is left for this run; None: there are none.
        """
        self.error: BaseException | None = None
        self.done = False
        self._holder = holder
        self._desk = desk
        self._ready = ready
        self._alarms = alarms
        self._only = only
        self._finish = finish
        self._others = others
        self._opens: dict[str, float] = {}
        """When closed platforms are looked at again."""
        self._dry = False
        """Whether nothing was claimed since the store was last asked what is ready."""
        self._scope = trio.CancelScope()

    def wake(self) -> None:
        """Look at all lanes again."""
        self._ready.wake()

    def stop(self) -> None:
        """Claim no more."""
        self._scope.cancel()

    async def run(self) -> None:
        """Claim until `stop`, or until the end. Checkpoint. What was claimed is always accepted."""
        try:
            with self._scope:
                if self._only is not None and self._only.hasten:
                    await self._holder.store.hasten(self._only.ids)
                async with trio.open_nursery() as nursery:
                    if self._only is None:
                        nursery.start_soon(self._watch)
                    elif not self._holder.store.shared:  # who shares one asks for its share
                        nursery.start_soon(self._listen)
                    await self._claim_on()
                    nursery.cancel_scope.cancel()
        except StoreError as error:  # of the hastening: all else is asked for until the store answers
            self.error = error
        finally:
            self.done = True

    async def _watch(self) -> None:
        """Learn what is ready whenever the store may have more."""
        backoff = Backoff()
        while True:
            await self._look()
            if self._others is not None and not self._ready.names and not self._desk.is_busy():
                await self._others.have_jobs()
            await self._wait(backoff)

    async def _listen(self) -> None:
        """Hear in a round, which asks what is ready only as it begins and ends, what was closed or paused meanwhile."""
        backoff = Backoff()
        while True:
            await self._wait(backoff)
            await self._desk.hear(self._ready.names)
            # What is ready, and not the round's, is nothing that it takes note of: the next call returns at once.
            await trio.sleep(_EAR)

    async def _wait(self, backoff: Backoff) -> None:
        """Wait until the store may have more, or has closed or paused something."""
        try:
            await self._holder.store.wait(self._holder.lease)
        except StoreError as error:
            self._holder.trouble.say("the store could not be waited for", error)
            await backoff.pause()
        else:
            backoff.over()

    async def _look(self) -> None:
        """Ask what is ready, until the store says so."""
        backoff = Backoff()
        while True:
            try:
                store = self._holder.store
                names = await store.due(None if self._only is None else self._only.until_by(self._holder))
                break
            except StoreError as error:
                self._holder.trouble.say("the store could not be asked what is due", error)
            await backoff.pause()
        await self._desk.hear(names)
        self._ready.found(names)

    async def _claim_on(self) -> None:
        backoff, failed = Backoff(), set[str]()
        while True:
            if failed:  # one pause for all platforms: it is one store
                await backoff.pause()
            else:
                backoff.over()
            failed = set()
            self._ready.news = trio.Event()  # before the look: what comes from here on is seen by the next one
            if self._ready.unknown:
                self._ready.unknown = False
                await self._look()
            wants = self._wants()
            if len(wants) == 1:
                await self._claim(*wants.popitem(), failed)
            elif wants:
                async with trio.open_nursery() as nursery:
                    for platform, n in wants.items():
                        nursery.start_soon(self._claim, platform, n, failed)
            elif self._finish is None or self._is_busy(self._finish):
                await self._ready.news.wait()
            elif not self._dry:
                await self._look()
                self._dry = True
            elif await self._may_end(self._finish):
                return
            else:
                with trio.move_on_after(_AGAIN):
                    await self._ready.news.wait()

    def _is_busy(self, finish: Finish) -> bool:
        """Say whether there is anything in hand; what only waits for paused or closed platforms is given back.

        That of closed ones only if the run leaves it aside.
        """
        self._desk.leave_paused()
        if finish.leaves_closed:
            self._desk.leave_closed()
        return self._desk.is_busy()  # until the store knows of what was given back, which is news then

    async def _may_end(self, finish: Finish) -> bool:
        """Say whether this is the end: the store was asked, and nothing was claimed since."""
        backoff = Backoff()
        while True:
            try:
                return await finish.reached()
            except StoreError as error:
                self._holder.trouble.say("the store could not be asked what is pending", error)
            except ValueError as error:
                self.error = error
                logger().error("the run ends, for it would never end by itself", error=str(error))
                return True
            await backoff.pause()

    def _wants(self) -> dict[str, int]:
        """Say for which platforms to claim, and how many jobs: a fair part of the room each.

        Where there is not enough for all, who got nothing stands first in line the next time.
        """
        ready = self._ready
        lacking = {name: n for name in ready.roomy if name in ready.names and (n := self._wanted(name)) > 0}
        room, wants = max(0, self._desk.room()), {}
        for left, (name, n) in zip(range(len(lacking), 0, -1), lacking.items(), strict=True):
            if room:
                wants[name] = min(n, max(1, room // left))
                room -= wants[name]
        ready.roomy = {name: None for name in lacking if name not in wants}
        return wants

    def _wanted(self, platform: str) -> int:
        """Say for how many more jobs a lane has room; where the platform is closed, look again when it opens."""
        opens = self._desk.opens_at(platform)
        if opens <= trio.current_time():
            return self._desk.wanted(platform)
        if self._opens.get(platform) != opens:
            self._opens[platform] = opens
            self._alarms.at(opens, partial(self._opened, platform))
        return 0

    def _opened(self, platform: str) -> None:
        self._opens.pop(platform, None)
        self._ready.room(platform)

    async def _claim(self, platform: str, n: int, failed: set[str]) -> None:
        """Claim for one platform. A call that is cancelled has claimed nothing, or returns all the same.

        Args:
            platform: its name.
            n: how many jobs.
            failed: gets the name if the store could not be asked.
        """
        holder = self._holder
        asked, lease = trio.current_time(), holder.lease  # which may be tuned while the store is asked
        ids = None if self._only is None else self._only.ids
        try:
            found = await holder.store.claim(platform, n, holder.owner, lease, ids=ids)
        except StoreError as error:
            self._holder.trouble.say("jobs could not be claimed", error, platform=named(platform))
            self._ready.roomy.setdefault(platform)
            failed.add(platform)
            return
        if found:
            self._desk.accept(found, asked + lease)
            self._dry = False
        if len(found) < n:  # there is no more, until the store says that there is
            self._ready.names.discard(platform)
        else:
            self._ready.roomy.setdefault(platform)

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Claims for {len(self._ready.names)} ready platforms, {len(self._ready.roomy)} with room>"
