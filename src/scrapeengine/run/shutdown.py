"""The end of a run: when its work is done, or before that, by a deadline.

running ──(nothing left)──────────────────────────────> ended
   │
   └─(stop)─> stopping ──(no task runs)──> quiet ─────> ended
                 │                           ^
                 └─(grace is over)─> cut ────┤ (all tasks have ended, or are given up)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from scrapeengine.decide.agenda import JobState
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Backing, Parts
from scrapeengine.schedule.lane import TaskRecord
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Shutdown"]

_SINKS = 5.0
"""Seconds for sinks to take what there is, after the grace of a stop."""
_LAST_CALL = 0.9
"""Seconds for cancelled tasks to end, before `stop` returns without them; it says that it does within a second."""


@uninterrupted
class Shutdown:
    """Ends one run, once."""

    def __init__(self, parts: Parts, backing: Backing) -> None:
        self.ended = trio.Event()
        """Set when nothing is left to do."""
        self.quiet = trio.Event()
        """Set when the run was stopped and no task runs, or those that do were given up."""
        self._scheduler = parts.scheduler
        self._alarms = parts.alarms
        self._counters = parts.counters
        self._outbox = parts.outbox
        self._collector = parts.collector
        self._backing = backing
        self._cut_at = math.inf

    async def bring_jobs(self) -> None:
        """Let the source of jobs run to its end, and see whether that was the last of it. Checkpoint."""
        await self._backing.jobs.run()
        self.check()

    def check(self) -> None:
        """Look whether this was the last of it."""
        if self._scheduler.stopped is not None and next(self._tasks(), None) is None:
            self._be_quiet()
        backing = self._backing
        if backing.jobs.done and not self._scheduler.agenda.live and backing.settled and not self.ended.is_set():
            self._counters.ended = trio.current_time()
            self.ended.set()
            self._alarms.end()
            self._outbox.end()
            backing.ended()

    def stop(self, grace: float, reason: str) -> None:
        """Start nothing more, cancel what waits and what is parked, and after `grace` seconds the rest."""
        if self._scheduler.stopped is None and not self.ended.is_set():
            self._halt(reason)
            for lane in self._scheduler.lanes.values():
                lane.cancel_parked(reason)
        cut_at = trio.current_time() + grace
        self._collector.give_up_at(cut_at + _SINKS)
        # A second call may shorten the grace, and never lengthens it.
        if cut_at < self._cut_at and not self.ended.is_set():
            self._cut_at = cut_at
            self._alarms.at(cut_at, self._cut)
        if self.ended.is_set():
            self._be_quiet()
        self.check()

    def abort(self, reason: str) -> None:
        """Start nothing more; whatever runs is being cancelled from outside."""
        if not self.ended.is_set():
            self._scheduler.abort()  # first: what is given up below must let nothing start
            self._halt(reason)

    def close(self) -> None:
        """End the run, whether or not all of it was done."""
        if self._counters.ended is None:
            self._counters.ended = trio.current_time()
        self.ended.set()
        self.quiet.set()

    def _halt(self, reason: str) -> None:
        if self._scheduler.stopped is not None:
            return
        self._scheduler.stopped = reason
        self._backing.jobs.stop()
        entries = self._scheduler.agenda.entries()
        # Listed before any is given up: an event whose last job ends leaves what is walked through here.
        waiting = [job for entry in entries for job in entry.jobs if job.state is JobState.WAITING]
        for job in waiting:
            self._backing.ends.give_up(job, reason)

    def _cut(self) -> None:
        """Cancel what still runs, and give those that shield themselves a last call."""
        for task in self._tasks():
            task.cancel(self._scheduler.stopped or "")
        self._alarms.at(trio.current_time() + _LAST_CALL, self._give_up)

    def _give_up(self) -> None:
        for task in self._tasks():
            logger().warning(
                "a scraper shields itself from cancellation and runs on",
                id=named(task.job.entry.event.id),
                platform=named(task.lane.name),
            )
        self._be_quiet()

    def _be_quiet(self) -> None:
        if not self.quiet.is_set():
            self.quiet.set()
            self._backing.quiet()

    def _tasks(self) -> Iterator[TaskRecord]:
        """Walk through the tasks that were started and have not ended."""
        return (record for lane in self._scheduler.lanes.values() for record in list(lane.records))
