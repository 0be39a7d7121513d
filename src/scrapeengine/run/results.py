"""Where every task ends, whatever became of it: counted once, and sent on its way."""

from __future__ import annotations

from typing import Any

import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped
from scrapeengine.run.lanes import Lanes
from scrapeengine.run.skips import Skips
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.schedule.waiting import impatience
from scrapeengine.tasks.running import LiveTask

__all__ = ["Results"]


class Results:
    """Takes tasks off the scheduler, and their outcomes to counters and outbox."""

    def __init__(
        self, scheduler: Scheduler, lanes: Lanes, counters: Counters, outbox: Outbox[Any], skips: Skips | None = None
    ) -> None:
        """Make it.

        Args:
            scheduler: the run's.
            lanes: the run's.
            counters: the run's.
            outbox: the run's.
            skips: where to keep what need not be asked for again; None: somebody else does.
        """
        self._skips = skips
        self._scheduler = scheduler
        self._lanes = lanes
        self._counters = counters
        self._outbox = outbox

    def deliver(self, outcome: Outcome[Any]) -> None:
        """Count an outcome, and send it on its way. Never blocks."""
        self._counters.add(outcome)
        if not self._outbox.put(outcome):
            self._counters.unread += 1

    def finish(self, task: LiveTask, outcome: Outcome[Any]) -> None:
        """End a task that was started, and let others run in its place."""
        self._scheduler.end(task)
        if self._skips is not None and isinstance(outcome, Skipped) and outcome.again_after is not None:
            until = trio.current_time() + outcome.again_after
            self._skips.add(outcome.event.id, outcome.platform, until, outcome.reason)
        self.deliver(outcome)
        self._scheduler.settle()
        self._lanes.retire(task.lane)

    def cancel(self, job: Job, reason: str) -> None:
        """End a job that was never started, since the run ends."""
        self._abandon(job, Cancelled, reason=reason)

    def turn_away(self, job: Job, lane: Lane) -> None:
        """End a job that was never started, since its platform is closed for too long."""
        self._abandon(job, Failure, error=impatience(lane, trio.current_time()))

    def _abandon(self, job: Job, kind: type[Cancelled | Failure], **how: Any) -> None:
        entry = job.entry
        self._scheduler.abandon(job)
        queued = trio.current_time() - entry.accepted
        self.deliver(kind(event=entry.event, platform=job.queue.name, queued=queued, **how))
        self._lanes.retire(self._scheduler.lanes[job.queue.name])
