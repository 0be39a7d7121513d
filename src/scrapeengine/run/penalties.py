"""Penalties that the program makes and ends, and those that are long, whoever has made them."""

from __future__ import annotations

from datetime import UTC, datetime

import trio

from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Backing, Parts
from scrapeengine.schedule.clock import between_runs
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.uninterrupted import uninterrupted

__all__ = ["Penalties"]

_LATEST = 253_402_300_799
"""The last Unix time that can be shown, in the year 9999."""


@uninterrupted
class Penalties:
    """What a run does and says about penalties, beside keeping to them."""

    def __init__(self, parts: Parts, backing: Backing) -> None:
        self._parts = parts
        self._backing = backing

    def begin(self) -> None:
        """Do what the program has said when there was no run, and count what earlier runs have left."""
        said, now = self._parts.plan.said, between_runs()
        while said:
            name, (seconds, at) = said.popitem()
            if seconds is None:
                self.reopen(name)
            elif (left := seconds - (now - at)) > 0:
                self.close(name, left)
        for name in self._parts.lanes.gates.closed(trio.current_time()):
            with self._parts.lanes.visit(name) as lane:
                self.look_at(lane)

    def close(self, name: str, seconds: float) -> None:
        """Close a platform for so long at least, and let the backing know."""
        with self._parts.lanes.visit(name) as lane:
            lane.gate.penalty.close(trio.current_time() + seconds)
            self._parts.lanes.have_closed(lane)
        self._backing.closed_by_hand(name, seconds)

    def reopen(self, name: str) -> None:
        """End the penalty of a platform, and let the backing know."""
        scheduler = self._parts.scheduler
        with self._parts.lanes.visit(name) as lane:
            lane.gate.penalty.end(trio.current_time())
            scheduler.refresh(lane)
            scheduler.settle()
        self._backing.reopened_by_hand(name)
        self._backing.wake()

    def look_at(self, lane: Lane) -> None:
        """Count a platform that is closed for longer than anybody waits, and say it once: it may be for a year."""
        now, penalty = trio.current_time(), lane.gate.penalty
        if lane.patient(now):
            return
        seconds = penalty.until - now
        self._parts.counters.closed(lane.name, seconds)
        if penalty.said > now:  # many refusals are one incident, and each of them may move its end a little
            return
        penalty.said = penalty.until
        until = datetime.fromtimestamp(min(self._parts.counters.anchor.wall(now) + seconds, _LATEST), UTC)
        logger().warning(
            "a platform is closed for long; engine.reopen(…) calls it all the same",
            platform=named(lane.name),
            seconds=round(seconds),
            until=until.isoformat(timespec="seconds"),
        )
