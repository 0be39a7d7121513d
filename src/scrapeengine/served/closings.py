"""Penalties that programs make and end: what this program says goes to the store, and what others say is heard.

Lanes at work hear of both where they ask for their share (`served.sharing`). Here the others do: those of a store that
is not shared, and platforms that are closed for so long that nothing of theirs is in hand. They are asked about after
each look at what is ready, for who closes or reopens a platform wakes all who wait for that.

A pause in the store (`Store.pause`) is heard of in the same two ways. A platform without work is not asked about, so a
run learns of its pause with the first job that it claims there, which it gives back unstarted.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.job import ShareRequest
from scrapeengine.model.urls import named
from scrapeengine.run.backing import Ends, Parts, RunHooks
from scrapeengine.schedule.lane import Lane
from scrapeengine.served.claims import ReadyPlatforms
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.trouble import Backoff
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Closings"]

_SAME = 0.001
"""Seconds by which two clocks' views of one instant may differ, by rounding."""


@uninterrupted
class Closings:
    """Tells the store what the program has said of platforms' penalties, and hears what others have said there."""

    def __init__(self, holder: Leaseholder, parts: Parts, hooks: RunHooks, ends: Ends, ready: ReadyPlatforms) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it.
            parts: the run's.
            hooks: told of platforms that others have closed or reopened.
            ends: where jobs are given back that wait for a platform which is paused.
            ready: told of those that have closed: the run may end with that.
        """
        self._holder = holder
        self._lanes = parts.lanes
        self._plan = parts.plan
        self._lines = parts.lines
        self._hooks = hooks
        self._ends = ends
        self._ready = ready
        self._said: dict[str, float | None] = {}
        """Until when, in trio's time, the program has closed platforms; None: it has reopened them."""
        self._news = trio.Event()
        self._openings: dict[str, int] = {}
        """How often platforms were reopened, as far as the store has said; not those that never were."""

    def close(self, platform: str, seconds: float) -> None:
        """Tell the store that a platform is closed."""
        self._say(platform, trio.current_time() + seconds)

    def reopen(self, platform: str) -> None:
        """Tell the store that a platform is open again."""
        self._say(platform, None)

    def _say(self, platform: str, until: float | None) -> None:
        self._said.pop(platform, None)
        self._said[platform] = until
        self._news.set()

    async def run(self) -> None:
        """Tell the store, for ever. Checkpoint."""
        backoff = Backoff()
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._said:
                platform, until = next(iter(self._said.items()))
                try:
                    await self._tell(platform, until)
                except StoreError as error:
                    self._holder.trouble.say("a penalty could not be told", error, platform=named(platform))
                    await backoff.pause()
                    continue
                backoff.over()
                if self._said.get(platform, math.nan) == until:  # else the program has said something else meanwhile
                    del self._said[platform]

    async def _tell(self, platform: str, until: float | None) -> None:
        store = self._holder.store
        if until is None:
            await store.reopen(platform)
        elif (seconds := until - trio.current_time()) > 0:
            await store.close(platform, seconds)

    async def hear(self, ready: Collection[str]) -> None:
        """Ask the store about platforms that nobody else asks about. Checkpoint if there are any.

        Args:
            ready: those that have ready jobs in the store.
        """
        requests: dict[str, ShareRequest] = {}
        for name in filter(self._unasked, dict.fromkeys([*ready, *self._lanes.pauses.by_store, *self._in_hand()])):
            with self._lanes.visit(name) as lane:
                openings = lane.gate.penalty.openings
            requests[name] = ShareRequest(limit=1, wanted=0, held=0, rates=(), requests=0, openings=openings)
        if not requests:
            return
        try:
            grants = await self._holder.store.share(self._holder.owner, requests, self._holder.lease)
        except StoreError:
            return  # the next look asks again
        shift = self._holder.shift()
        for name, grant in grants.items():
            closed = None if grant.closed_until is None else grant.closed_until - shift
            self._heard(name, grant.openings, closed, paused=grant.paused)
        self._lanes.scheduler.settle()

    def _in_hand(self) -> list[str]:
        """Name the platforms whose jobs are all here, so that the store does not speak of them."""
        if self._holder.store.shared:
            return []  # these ask for their share
        return [name for name, lane in self._lanes.scheduler.lanes.items() if not lane.idle]

    def _unasked(self, name: str) -> bool:
        """Say whether nobody else asks about a platform."""
        plan, lane = self._plan, self._lanes.scheduler.lanes.get(name)
        if not self._holder.store.shared:
            # Each look would ask, and cost as much again: only where somebody has closed or reopened something.
            return self._holder.store.closings > 0 and (name in plan.platforms or plan.default is not None)
        if name in self._lanes.pauses.by_store:
            return lane is None or lane.idle
        if lane is None:
            return self._lanes.gates.closed_until(name) > trio.current_time()
        # One at work asks for its share, and to ask for nothing here would give that back.
        return lane.idle and lane.gate.closed(trio.current_time())

    def _heard(self, platform: str, openings: int, closed: float | None, *, paused: bool) -> None:
        with self._lanes.visit(platform) as lane:
            self.paused_by_others(lane, paused=paused)
            penalty = lane.gate.penalty
            if penalty.openings is None and not self._holder.store.shared:
                # The gate of a host is as good as forgotten while it is open. What it hears of was asked for before
                # anything was claimed of it, so a penalty is younger than what was heard then.
                penalty.openings = self._openings.get(platform, 0)
            if openings:
                self._openings[platform] = openings
            if penalty.hear(openings, trio.current_time()):
                self.opened_by_others(lane)
                self._lanes.scheduler.refresh(lane)
            if closed is not None and closed > penalty.until + _SAME:
                penalty.close(closed, trio.current_time())
                self._lanes.scheduler.refresh(lane)
                self.closed_by_others(lane)

    def closed_by_others(self, lane: Lane) -> None:
        """Let nobody wait for too long on a platform that others have closed, nor a run whose end that is."""
        self._hooks.closed_by_others(lane)
        self._ready.room(lane.name)

    def opened_by_others(self, lane: Lane) -> None:
        """Say that others have reopened a platform, and claim for it again."""
        self._hooks.opened_by_others(lane)
        self._ready.room(lane.name)

    def paused_by_others(self, lane: Lane, *, paused: bool) -> None:
        """Hear whether a platform is paused in the store.

        What waits or is parked on one that is goes back: it is not due to us, and would keep a run from its end.
        """
        if paused is not (lane.name in self._lanes.pauses.by_store):
            if paused:
                self._lines.say("a platform is paused in the store; store.resume lets it go on", lane.name)
            else:
                self._lines.say("a platform goes on that was paused in the store", lane.name)
            self._lanes.pause(lane, trio.current_time(), paused=paused)
            self._ready.room(lane.name)
        if paused:
            for job in lane.queue.waiting_jobs():
                self._ends.give_up(job, "the platform is paused")
            lane.cancel_parked("the platform is paused")

    def __repr__(self) -> str:
        """Count what the store is not told yet."""
        return f"<Closings {len(self._said)} to be told>"
