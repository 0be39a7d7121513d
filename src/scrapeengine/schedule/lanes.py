"""The lanes of one run: made when a platform gets work, and given up when a host has none left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import trio

from scrapeengine.decide.heed import StatedLimit
from scrapeengine.decide.holding import Holdup, standing
from scrapeengine.model.instrument import LimitChanged, RateChanged
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import longest_interval
from scrapeengine.model.report import PlatformStatistics
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.pauses import Pauses
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Closing", "Lanes", "Platforms"]


class Platforms(Protocol):
    """The platforms of platforms as they are now."""

    def platform(self, name: str) -> Platform[Any]:
        """Return a platform by name, or the default for a host that it serves."""
        ...

    def is_declared(self, name: str) -> bool:
        """Say whether a platform was declared by name, so that its lane is kept for the whole run."""
        ...

    def limits(self) -> dict[str, int]:
        """Return the limits of the platforms that were declared, and of the hosts that were tuned by themselves."""
        ...

    def host(self, host: str) -> str | None:
        """Name the platform that serves a host; None if none does."""
        ...


class Closing(Protocol):
    """Hears of platforms that close."""

    def closed(self, lane: Lane) -> None:
        """Let nobody wait there for too long: the platform has closed, or closed for longer."""
        ...


@uninterrupted
class Lanes:
    """Brings lanes onto the scheduler and takes them off, and keeps them as their platforms are now.

    Size: 17 methods. Each is short, and does one thing to a lane or says one of all platforms.
    """

    def __init__(
        self, platforms: Platforms, scheduler: Scheduler, gates: Gates, closing: Closing, share: float = math.inf
    ) -> None:
        """Make it.

        Args:
            platforms: what platforms are to be served by.
            scheduler: the run's.
            gates: what outlives lanes and runs.
            closing: told of each platform that closes.
            share: how many tasks of a new lane may run at most, before it is known what other engines leave.
        """
        self.platforms = platforms
        self.scheduler = scheduler
        self.gates = gates
        self._closing = closing
        self._share = share
        self.pauses = Pauses()
        """The platforms that are paused, with a lane or without."""
        self.pauses.look_at(platforms.limits(), trio.current_time())

    def get(self, name: str, now: float) -> Lane:
        """Return the lane of a platform; its gate is as an earlier lane or run has left it."""
        lane = self.scheduler.lanes.get(name)
        if lane is None:
            platform = self.platforms.platform(name)
            lane = Lane.of(name, platform, self.gates.take(name, platform.rate, now), self._share)
            if not platform.heed:
                lane.gate.forget(now)
            lane.moved, lane.paused = now, self.pauses.since(name, now)
            lane.limit.stop(stopped=name in self.pauses.by_store)
            self.scheduler.lanes[name] = lane
            self.scheduler.refresh(lane)
        return lane

    @contextmanager
    def visit(self, name: str) -> Iterator[Lane]:
        """Return another platform's lane, for as long as the context lasts; a host's goes when nothing needs it."""
        lane = self.get(name, trio.current_time())
        lane.guests += 1
        try:
            yield lane
        finally:
            lane.guests -= 1
            self.retire(lane)

    def retire(self, lane: Lane) -> None:
        """Let the lane of a host go if it is idle; its gate is kept for as long as it matters."""
        if lane.idle and not self.platforms.is_declared(lane.name):
            self.scheduler.drop(lane)
            self.gates.keep(lane.name, lane.gate, trio.current_time())

    def refused(self, lane: Lane, sent: float, after: float | None) -> None:
        """Close a platform that asks not to be called.

        Args:
            lane: the platform's.
            sent: when the request was sent that was refused.
            after: the seconds that it asks for; None: it does not say.
        """
        lane.gate.penalty.refused(sent=sent, now=trio.current_time(), after=after)
        self.have_closed(lane)

    def have_closed(self, lane: Lane) -> None:
        """Bring a lane up to its penalty, which has begun or lasts for longer."""
        self.scheduler.refresh(lane)
        self._closing.closed(lane)
        # At the end: what has closed here has given event slots back, which other lanes may have now.
        self.scheduler.settle()

    def heard(self, lane: Lane, sent: float, said: StatedLimit) -> None:
        """Keep to a limit that a platform has stated in an answer, unless it is not to be heeded.

        Args:
            lane: the platform's.
            sent: when the request was sent that was answered so.
            said: what was stated.
        """
        if not lane.platform.heed:
            return
        now = trio.current_time()
        lane.gate.hear(said, sent=sent, now=now, patience=lane.platform.retry.patience)
        if lane.gate.exhausted(now):
            lane.dismiss_the_seated()  # that may be long, and others can use their tokens meanwhile
        self.scheduler.kick(lane)  # its next turn may be sooner than the alarm
        self.scheduler.settle(now)

    def slow_down(self, lane: Lane, seconds: float) -> None:
        """Keep to what a platform's robots.txt asks for, if that is slower than its rate."""
        now, rates = trio.current_time(), lane.gate.rate_limiter.rates
        lane.gate.slow_down(seconds, lane.platform.rate, now)
        if lane.gate.rate_limiter.rates != rates:
            self._tell_rate(lane, now)

    def tell_limit(self, lane: Lane, now: float) -> None:
        """Let instruments know of the limit, if another one holds than they were told."""
        instruments, limit = self.scheduler.instruments, lane.limit
        if instruments.limit_changed and limit.now != limit.told:
            limit.told = limit.now
            details = LimitChanged(time=now, platform=lane.name, limit=limit.now, reason=limit.reason)
            instruments.tell(instruments.limit_changed, details)

    def _tell_rate(self, lane: Lane, now: float) -> None:
        instruments = self.scheduler.instruments
        if instruments.rate_changed:
            interval = longest_interval(lane.gate.rate_limiter.rates)
            details = RateChanged(time=now, platform=lane.name, interval=interval)
            instruments.tell(instruments.rate_changed, details)

    def close(self, now: float) -> None:
        """Keep the gates of all lanes, at the end of the run."""
        for lane in self.scheduler.lanes.values():
            self.gates.keep(lane.name, lane.gate, now)

    def retune(self, now: float) -> None:
        """Let lanes be as their platforms are now."""
        self.pauses.look_at(self.platforms.limits(), now)
        for lane in self.scheduler.lanes.values():
            platform = self.platforms.platform(lane.name)
            if platform is lane.platform:
                continue
            if platform.rate != lane.platform.rate:  # else what is booked would lapse for nothing
                lane.gate.keep_to(platform.rate, now)
                self._tell_rate(lane, now)
            if not platform.heed:
                lane.gate.forget(now)
            lane.platform, lane.home = platform, platform.host
            if platform.limit != lane.limit.own:
                if not platform.limit:
                    lane.paused = now
                elif not lane.limit.own:
                    lane.moved = now
                lane.limit.tune(platform.limit)
                self.tell_limit(lane, now)
            self.scheduler.refresh(lane)

    def pause(self, lane: Lane, now: float, *, paused: bool) -> None:
        """Let no task of a lane start, or end that, since the store says so. A limit of 0 is another matter."""
        self.pauses.tell(lane.name, now, paused=paused)
        if lane.limit.stopped is paused:
            return
        if not paused:
            lane.moved = now
        elif lane.limit.own:
            lane.paused = now
        lane.limit.stop(stopped=paused)
        self.tell_limit(lane, now)
        self.scheduler.refresh(lane)

    def closed(self, now: float) -> dict[str, float]:
        """Name the platforms that are under penalty, each with the seconds until it opens. From any thread."""
        lanes = self.scheduler.lanes.copy()
        ends = {name: lane.gate.penalty.until for name, lane in lanes.items() if lane.gate.closed(now)}
        return {name: until - now for name, until in sorted((self.gates.closed(now) | ends).items())}

    def statistics(self, now: float) -> dict[str, PlatformStatistics]:
        """Say what platforms are doing: those that were declared or tuned, that have work, or are closed.

        From any thread: what is walked through is copied in one step, and nothing is changed.
        """
        known = self.platforms.limits() | self.gates.closed(now) | self.pauses.by_store
        found = {name: self.without_lane(name, now) for name in known}
        for name, lane in self.scheduler.lanes.copy().items():
            if name in found or not lane.idle or lane.gate.closed(now):
                found[name] = lane.statistics(now, standing(self.scheduler.facts(lane, now)))
        return found

    def without_lane(self, name: str, now: float) -> PlatformStatistics:
        """Say how a platform stands that has no work, and no lane. From any thread."""
        limit, penalty = self.platforms.platform(name).limit, self.gates.penalty(name)
        closed = max(0.0, penalty.until - now)
        paused = not limit or name in self.pauses.by_store
        holdup = Holdup.PAUSE if paused else Holdup.PENALTY if closed else Holdup.NOTHING
        since = {Holdup.PAUSE: self.pauses.since(name, now), Holdup.PENALTY: penalty.since}.get(holdup, now)
        return PlatformStatistics(
            limit=limit,
            running=0,
            parked=0,
            waiting=0,
            opens_in=closed,
            held_by=holdup.value,
            held_for=max(0.0, now - since),
        )

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Lanes {len(self.scheduler.lanes)}>"
