"""Shares of platforms that engines on one store have in common: what this run may do there, asked for again and again.

While a lane has work, what the run may do there is asked for four times a second, for all lanes in one call: how many
tasks it may run, when it may make requests, and whether somebody has closed the platform. Requests are asked for when
some wait, and as many as wait (up to half a second of the rate): what is reserved and not used is lost to all. A lane
that has no work at one of these four times gives all back. What was granted ends with its lease, here too.

Invariants:

- While slots are asked for, nothing starts beyond what the request says is held: others may be given the rest before
  the answer is here.
- What was granted is counted from before the call that has asked for it, so it never ends later here than in the store.
  Its end is with the lane's limit, where each start looks at it; nothing here has to run in time for that.
- A refusal is told until a call has gone through that told it, also when its lane has gone by then.

Rejected: to reserve half a second of the rate ahead, whether or not that many requests wait. At a rate that is not used
up each of four engines could start only in its own half second of two, and 47 % of a limit was used. Rejected too: to
count leased jobs against the limit. A parked task holds a lease and no slot.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import groupby, repeat
from typing import Protocol

import attrs
import trio

from scrapeengine.decide.allotment import Allotment
from scrapeengine.errors import StoreError
from scrapeengine.model.job import ShareGrant, ShareRequest
from scrapeengine.model.policy import longest_interval
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.lanes import Lanes
from scrapeengine.served.leases import Leaseholder
from scrapeengine.served.others import Others
from scrapeengine.served.trouble import Backoff
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Sharing", "SharingHost"]

_PERIOD = 0.25
"""Seconds between two calls while a lane has work."""
_GAP = 0.01
"""Seconds between two calls at least."""
_LONGEST_PAUSE = 1.0
"""Seconds between two calls at most while they fail: slots are for a lease only."""
_SAME = 0.001
"""Seconds by which two clocks' views of one instant may differ, by rounding."""
_LONGEST_LEAD = 0.25
_HALF = 0.5
"""For how many seconds requests are reserved at most."""
_MOST = 256
"""The most requests that are reserved at once; more could not be sent before their times have lapsed."""


class SharingHost(Protocol):
    """Hears what other engines have done."""

    def closed_by_others(self, lane: Lane) -> None:
        """Let nobody wait for too long on a platform that others have closed."""
        ...

    def opened_by_others(self, lane: Lane) -> None:
        """Say that others have reopened a platform."""
        ...

    def paused_by_others(self, lane: Lane, *, paused: bool) -> None:
        """Let nothing start on a platform that is paused in the store, and let it go on where it is not any more."""
        ...


@uninterrupted
class Sharing:
    """Agrees with other engines on limits, rates and penalties. Writes the `share` of each lane's limit.

    Size: 11 attributes: whom it asks and tells, and what it was told.
    """

    def __init__(
        self, holder: Leaseholder, lanes: Lanes, ready: Collection[str], host: SharingHost, others: Others
    ) -> None:
        """Make it.

        Args:
            holder: the run, as the store knows it; what is granted holds for its lease.
            lanes: the run's.
            ready: the platforms that have ready jobs in the store, live.
            host: told of platforms that others have closed.
            others: told of platforms of which they have all slots.
        """
        self._host = host
        self._others = others
        self._refusals: dict[str, float] = {}
        """Until when platforms are closed, in trio's time, which the others are not told yet."""
        self._holder = holder
        self._lanes = lanes
        self._ready = ready
        self._granted: set[str] = set()
        """The platforms of which the run has slots, or had them until their lease ended."""
        self._contended: set[str] = set()
        """The platforms that others want too."""
        self._needed = trio.Event()
        self._lead = 0.0
        """How long a call takes."""
        self._turn_ends = -math.inf
        """When slots are asked for again."""

    def need(self) -> None:
        """Ask soon: a lane cannot go on with what it has."""
        self._needed.set()

    def refused(self, lane: Lane) -> None:
        """Tell the others, at the next asking, that a platform has closed."""
        self._refusals[lane.name] = lane.gate.penalty.until
        self._needed.set()

    def reopened(self, platform: str) -> None:
        """Tell the others no more that a platform has closed: the program has ended that."""
        self._refusals.pop(platform, None)

    async def run(self) -> None:
        """Ask as long as there is something to ask for, for ever. Checkpoint."""
        backoff = Backoff(longest=_LONGEST_PAUSE)
        while True:
            self._needed = trio.Event()
            try:
                until = self._turn_ends if await self._ask() else math.inf
            except StoreError as error:
                self._holder.trouble.say("platforms could not be shared", error, platforms=len(self._granted))
                self._expire()  # what was granted before holds on, for its lease
                await backoff.pause()
                continue
            backoff.over()
            await trio.sleep(_GAP)
            with trio.move_on_at(until):
                await self._needed.wait()

    async def give_back(self) -> None:
        """Leave all to others, at the end of the run. Checkpoint."""
        share_requests = {name: self._nothing(name) for name in {*self._granted, *self._refusals}}
        for name, lane in self._lanes.scheduler.lanes.items():
            if name in share_requests and isinstance(lane.gate.rate_limiter, Allotment):
                lane.gate.rate_limiter.drop()  # before the others may have it: the gate outlives this run
                share_requests[name] = attrs.evolve(share_requests[name], anew=True)
        if share_requests:
            await self._holder.store.share(self._holder.owner, share_requests, self._holder.lease)

    async def _ask(self) -> bool:
        """Ask for all lanes that have work; false if nothing is to be asked or given back. Checkpoint if it asks.

        Raises:
            StoreError: nobody has answered.
        """
        now = trio.current_time()
        lanes = [lane for lane in self._lanes.scheduler.lanes.values() if not lane.idle]
        keep = now < self._turn_ends
        if not keep:
            self._turn_ends = now + _PERIOD
        share_requests = {lane.name: self._share_request(lane, now, keep=keep) for lane in lanes}
        # In between a lane that has no work just now keeps what it has: its next job may be on its way.
        given_back = () if keep else self._granted
        idle = [name for name in {*given_back, *self._refusals} if name not in share_requests]
        share_requests |= {name: self._nothing(name) for name in idle}
        self._hold_still(idle)
        told, drops = dict(self._refusals), {lane.name: _drops(lane) for lane in lanes}
        if not share_requests:
            return bool(self._granted)  # what idle lanes have is given back at the next of the four times
        lease = self._holder.lease  # which may be tuned while the store is asked
        shares = await self._holder.store.share(self._holder.owner, share_requests, lease)
        # The longest of late, which fades. Times are reserved from so long after the asking: earlier ones would lapse
        # on their way here.
        self._lead = min(_LONGEST_LEAD, max(0.9 * self._lead, trio.current_time() - now))
        # Not those that have come meanwhile: their lanes may be idle by the next call, which would say nothing of them.
        self._refusals = {name: until for name, until in self._refusals.items() if told.get(name) != until}
        for name in idle:
            self._granted.discard(name)
        for lane in lanes:
            self._granted.add(lane.name)
            if self._lanes.scheduler.lanes.get(lane.name) is lane:  # a host's may have gone while the store was asked
                self._apply(lane, shares[lane.name], now + lease, drops[lane.name])
        self._lanes.scheduler.settle()
        return True

    def _hold_still(self, names: Collection[str]) -> None:
        """Start nothing where all is being given back."""
        for name in names:
            self._contended.discard(name)
            lane = self._lanes.scheduler.lanes.get(name)
            if lane is not None:
                lane.limit.leave(0)

    def _nothing(self, name: str) -> ShareRequest:
        """Ask for nothing, and tell the others if the platform has closed."""
        until = self._refusals.get(name)
        closed = None if until is None else until + self._holder.shift()
        return ShareRequest(limit=1, wanted=0, held=0, rates=(), requests=0, closed_until=closed)

    def _share_request(self, lane: Lane, now: float, *, keep: bool) -> ShareRequest:
        limit, gate = lane.limit, lane.gate
        covered = limit.covers(now)  # first: what has ended is not asked for as if it was held
        # Until the answer comes nothing may start beyond what is said here, or others would be given it too.
        if not keep and lane.name in self._contended:
            limit.leave(min(limit.taken, limit.now))
        held = max(limit.taken, limit.now) if covered else limit.now
        coming = lane.queue.waiting + len(lane.returning) + len(lane.landing)
        more = lane.name in self._ready
        cost, requests, anew = 1, 0, False
        if isinstance(gate.rate_limiter, Allotment):
            anew = gate.rate_limiter.drops != gate.rate_limiter.told
            cost, requests = _requests(lane, gate.rate_limiter, now)
        closed = gate.penalty.until
        return ShareRequest(
            limit=limit.own,
            wanted=limit.own if more else min(limit.own, limit.taken + coming),
            held=held,
            rates=gate.rate_limiter.rates,
            requests=requests,
            cost=cost,
            lead=self._lead,
            anew=anew,
            keep=keep,
            closed_until=closed + self._holder.shift() if closed > now else None,
            openings=gate.penalty.openings,
        )

    def _apply(self, lane: Lane, share: ShareGrant, until: float, drops: int) -> None:
        """Let a lane go on with what it was given.

        Args:
            lane: the lane.
            share: what it was given.
            until: when its slots end.
            drops: how often it had dropped start times when it was asked for more.
        """
        now, shift = trio.current_time(), self._holder.shift()
        if now >= lane.limit.ends:
            lane.limit.lapse()  # before the answer was here, and perhaps before the store knew of the question
        lane.limit.leave(share.slots, until)
        self._host.paused_by_others(lane, paused=share.paused)
        self._lanes.tell_limit(lane, now)
        waits = not share.paused and lane.limit.own > 0 and not lane.limit.taken and not lane.gate.closed(now)
        self._others.have_slots(lane.name, without=share.slots == 0 and waits)
        (self._contended.add if share.contended else self._contended.discard)(lane.name)
        allotment = lane.gate.rate_limiter
        if isinstance(allotment, Allotment):
            if allotment.drops == drops:
                allotment.told = drops
                allotment.take_in((time - shift for time in share.times), now)
            else:  # another rate holds by now: these are given back too
                allotment.drop()
                self.need()
        if lane.gate.penalty.hear(share.openings, now):
            self._host.opened_by_others(lane)
        closed = lane.gate.penalty.until if share.closed_until is None else share.closed_until - shift
        if closed > lane.gate.penalty.until + _SAME:
            lane.gate.penalty.close(closed, now)
            self._host.closed_by_others(lane)
        self._lanes.scheduler.refresh(lane)

    def _expire(self) -> None:
        """Let go of event slots that wait for a platform where what was granted has ended."""
        now = trio.current_time()
        for name in self._granted:
            lane = self._lanes.scheduler.lanes.get(name)
            if lane is not None and now >= lane.limit.ends:
                self._lanes.scheduler.refresh(lane)
        self._lanes.scheduler.settle()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Sharing {len(self._granted)} platforms, {len(self._contended)} contended>"


def _requests(lane: Lane, allotment: Allotment, now: float) -> tuple[int, int]:
    """Say of which cost a lane needs requests first, and how many of these more."""
    if not allotment.rates or lane.gate.exhausted(now):  # what is reserved now would have lapsed by the reset
        return 1, 0
    starting = min(lane.queue.waiting, max(0, lane.limit.free))
    parked, foreign = (each.cost for each in lane.returning), (each.cost for each in lane.foreign_requests)
    costs = [*parked, *foreign, *repeat(lane.usual_cost, starting)]
    left, interval = allotment.left(now), max(allotment.paced, longest_interval(allotment.rates))
    for cost, alike in groupby(costs):
        most = min(_MOST, max(1, int(_HALF / (interval * cost))))
        n = min(most, len(list(alike)))
        if cost > 1 and allotment.opens_at(now, cost) == math.inf:
            return cost, n  # what is left is not at one time
        if n * cost > left:
            return cost, n - left // cost
        left -= n * cost
    return 1, 0


def _drops(lane: Lane) -> int:
    allotment = lane.gate.rate_limiter
    return allotment.drops if isinstance(allotment, Allotment) else 0
