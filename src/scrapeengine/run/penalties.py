"""Penalties: those that the program makes and ends, and what is said of all of them, whoever has made them.

A platform that closes is one line in the log, and so is that it is open again. Many refusals are one incident, however
far they move its end. One that is longer than anybody waits is a warning, and in the report.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import trio

from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Backing, Parts
from scrapeengine.schedule.alarms import Ring
from scrapeengine.schedule.clock import between_runs
from scrapeengine.schedule.lane import Lane
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Penalties"]

_LATEST = 253_402_300_799
"""The last Unix time that can be shown, in the year 9999."""


@uninterrupted
class Penalties:
    """What a run does and says about penalties, beside keeping to them."""

    def __init__(self, parts: Parts, backing: Backing) -> None:
        self._parts = parts
        self._backing = backing
        self._shut: dict[str, tuple[float, Ring]] = {}
        """Platforms that were said to be closed, each with when it closed, and the alarm at which it may open."""

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
            now = trio.current_time()
            lane.gate.penalty.close(now + seconds, now)
            self._parts.lanes.have_closed(lane)
        self._backing.closed_by_hand(name, seconds)

    def reopen(self, name: str) -> None:
        """End the penalty of a platform, and let the backing know."""
        scheduler = self._parts.scheduler
        with self._parts.lanes.visit(name) as lane:
            lane.gate.penalty.end(trio.current_time())
            self.look_whether_open(name)  # before what waits there starts, and may close it again
            scheduler.refresh(lane)
            scheduler.settle()
        self._backing.reopened_by_hand(name)
        self._backing.wake()

    def look_at(self, lane: Lane) -> None:
        """Say once that a platform has closed; count it too if that is for longer than anybody waits."""
        now, penalty = trio.current_time(), lane.gate.penalty
        seconds = penalty.until - now
        news = lane.name not in self._shut
        if news:
            self._await_opening(lane.name, now, penalty.until)
        if not lane.patient(now):
            self._parts.counters.closed(lane.name, seconds)
            if penalty.said <= now:  # else it was said, in this run or in an earlier one
                penalty.said = penalty.until
                logger().warning(
                    "a platform is closed for long; engine.reopen(…) calls it all the same",
                    platform=named(lane.name),
                    seconds=round(seconds),
                    until=self._date(penalty.until),
                )
                return
        if news:
            self._parts.lines.say(
                "a platform is closed", lane.name, seconds=round(seconds, 3), until=self._date(penalty.until)
            )

    def look_whether_open(self, name: str) -> None:
        """Say that a platform is open again, if it was said to be closed; if it still is, look when it will be."""
        if name not in self._shut:
            return
        now, until = trio.current_time(), self._until(name)
        if now < until:
            self._await_opening(name, self._shut[name][0], until)
        else:
            closed, alarm = self._shut.pop(name)
            self._parts.alarms.drop(alarm)
            self._parts.lines.say("a platform is open again", name, seconds=round(now - closed, 3))

    def _await_opening(self, name: str, closed: float, until: float) -> None:
        self._shut[name] = closed, self._parts.alarms.at(until, functools.partial(self.look_whether_open, name))

    def _until(self, name: str) -> float:
        lane = self._parts.scheduler.lanes.get(name)
        return self._parts.lanes.gates.closed_until(name) if lane is None else lane.gate.penalty.until

    def _date(self, when: float) -> str:
        """Show a time of the run's clock, to the second."""
        wall = min(self._parts.counters.anchor.wall(when), _LATEST)
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
