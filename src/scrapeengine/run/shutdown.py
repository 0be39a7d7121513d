"""How a run ends: when its work is done, or before that, by a deadline.

running ──(nothing left)──────────────────────────────> ended
   │
   └─(stop)─> stopping ──(no task runs)──> quiet ─────> ended
                 │                           ^
                 └─(grace is over)─> cut ────┤ (all tasks have ended, or are given up)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import trio

from scrapeengine.decide.agenda import Agenda, JobState
from scrapeengine.deliver.counters import Counters
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.results import Results
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.tasks.running import LiveTask

__all__ = ["JobSource", "Shutdown"]

_LAST_CALL = 0.9
"""Seconds for cancelled tasks to end, before `stop` returns without them."""


class JobSource(Protocol):
    """Where the jobs of a run come from."""

    error: BaseException | None
    """What it has raised."""
    done: bool
    """Whether nothing comes any more."""

    async def run(self) -> None:
        """Bring jobs until there are no more, or until `stop`. Checkpoint."""
        ...

    def wake(self) -> None:
        """Look again whether there is room."""
        ...

    def stop(self) -> None:
        """Bring no more."""
        ...


class Shutdown:
    """Ends one run, once."""

    def __init__(
        self,
        agenda: Agenda,
        scheduler: Scheduler,
        alarms: Alarms,
        intake: JobSource,
        results: Results,
        counters: Counters,
    ) -> None:
        self.ended = trio.Event()
        """Set when nothing is left to do."""
        self.quiet = trio.Event()
        """Set when the run was stopped and no task runs, or those that do were given up."""
        self.on_end: Callable[[], None] = lambda: None
        """Called when nothing is left to do."""
        self.on_quiet: Callable[[], None] = lambda: None
        """Called when `quiet` is set."""
        self.settled: Callable[[], bool] = lambda: True
        """Says whether what has ended is where it belongs."""
        self._agenda = agenda
        self._scheduler = scheduler
        self._alarms = alarms
        self._intake = intake
        self._results = results
        self._counters = counters
        self._cut_at = math.inf

    def check(self) -> None:
        """Look whether this was the last of it."""
        if self._counters.stopped is not None and next(self._tasks(), None) is None:
            self._be_quiet()
        if self._intake.done and not self._agenda.live and self.settled() and not self.ended.is_set():
            self._counters.ended = trio.current_time()
            self.ended.set()
            self._alarms.end()
            self.on_end()

    def stop(self, grace: float, reason: str) -> None:
        """Start nothing more, cancel what waits and what is parked, and after `grace` seconds the rest."""
        if self._counters.stopped is None and not self.ended.is_set():
            self._halt(reason)
            for task in self._tasks():
                if task.parked_since is not None:
                    task.cancel(reason)
        cut_at = trio.current_time() + grace
        if cut_at < self._cut_at and not self.ended.is_set():
            self._cut_at = cut_at
            self._alarms.at(cut_at, self._cut)
        if self.ended.is_set():
            self._be_quiet()
        self.check()

    def abort(self, reason: str) -> None:
        """Start nothing more; whatever runs is being cancelled from outside."""
        if not self.ended.is_set():
            self._scheduler.abort()
            self._halt(reason)

    def close(self) -> None:
        """Take note that the run is over, whether or not all of it was done."""
        if self._counters.ended is None:
            self._counters.ended = trio.current_time()
        self.ended.set()
        self.quiet.set()

    def _halt(self, reason: str) -> None:
        if self._counters.stopped is not None:
            return
        self._counters.stopped = reason
        self._intake.stop()
        waiting = [job for entry in self._agenda.entries() for job in entry.jobs if job.state is JobState.WAITING]
        for job in waiting:
            self._results.cancel(job, reason)

    def _cut(self) -> None:
        """Cancel what still runs, and give those that shield themselves a last call."""
        for task in self._tasks():
            task.cancel(self._counters.stopped or "")
        self._alarms.at(trio.current_time() + _LAST_CALL, self._give_up)

    def _give_up(self) -> None:
        for task in self._tasks():
            logger().warning(
                "a scraper shields itself from cancellation and runs on",
                id=named(task.event.id),
                platform=named(task.platform),
            )
        self._be_quiet()

    def _be_quiet(self) -> None:
        if not self.quiet.is_set():
            self.quiet.set()
            self.on_quiet()

    def _tasks(self) -> Iterator[LiveTask]:
        """Walk through the tasks that were started and have not ended."""
        records = (record for lane in self._scheduler.lanes.values() for record in list(lane.records))
        return (record for record in records if isinstance(record, LiveTask))
