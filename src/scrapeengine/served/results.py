"""Where the tasks of a served run end: what the store is told of it, and what only this run has to know."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.decide.cadence import History, Polled, cadence_from_json, next_due
from scrapeengine.decide.records import content_of, digest_of, error_text, outcome_text, status_of, written
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.model.job import Completion, Content, JobStatus
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.run.lanes import Lanes
from scrapeengine.run.results import Results
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.served.leases import Held, Leases
from scrapeengine.served.writer import EndedJob, Writer
from scrapeengine.tasks.running import LiveTask

__all__ = ["UNREADABLE_AGAIN", "StoredResults"]

UNREADABLE_AGAIN = 86_400.0
"""Seconds after which what recurs is tried again where what is stored of it, or of its task, cannot be read."""
_LONGEST = 1e9
"""The seconds, some thirty years, that nothing waits longer than."""


class StoredResults(Results):
    """Takes tasks off the scheduler; their outcomes go into the store before they go on their way."""

    def __init__(
        self,
        scheduler: Scheduler,
        lanes: Lanes,
        counters: Counters,
        outbox: Outbox[Any],
        *,
        leases: Leases,
        writer: Writer,
        draw: Callable[[], float],
        deliver_within: float | None,
        early: float,
        room: Callable[[str], None],
    ) -> None:
        """Make it.

        Args:
            scheduler: the run's.
            lanes: the run's.
            counters: the run's.
            outbox: the run's.
            leases: the run's jobs.
            writer: what stores their ends.
            draw: returns a random number from 0 to 1.
            early: seconds by which what recurs may be due sooner than its cadence says.
            room: called with the name of a platform whose lane has room again.
            deliver_within: seconds that sinks have for an outcome before it is delivered once more; None: no sinks.
        """
        super().__init__(scheduler, lanes, counters, outbox)
        self._leases = leases
        self._writer = writer
        self._draw = draw
        self._deliver_within = deliver_within
        self._early = early
        self._room = room

    def finish(self, task: LiveTask, outcome: Outcome[Any]) -> None:
        """End a task: store its outcome, or give its job back if it was cancelled."""
        self._scheduler.end(task)
        held = self._leases.drop(task.job)
        if held.lost:
            self._counters.lost += 1
        elif isinstance(outcome, Cancelled) or (task.stopped is not None and isinstance(outcome, Failure)):
            # A scraper that was cut off may fail in its own cleaning up: it has not had its chance.
            self._give_back(held)
        else:
            self._writer.end(self._ended(held, outcome, task))
        self._scheduler.settle()
        self._room(task.lane.name)
        self._lanes.retire(task.lane)

    def cancel(self, job: Job, reason: str) -> None:
        """Give a job back that was never started, since the run ends."""
        del reason
        self.give_up(job)

    def turn_away(self, job: Job, lane: Lane) -> None:
        """Give a job back that was never started, until its platform opens."""
        self.give_up(job, lane.gate.penalty.until)

    def lose(self, held: Held) -> None:
        """Let go of a job whose lease was lost."""
        if held.task is not None:
            held.task.cancel("its lease was lost")
            return
        self._counters.lost += 1
        self._leases.drop(held.job)
        self._scheduler.abandon(held.job)
        self._scheduler.settle()
        self._room(held.job.queue.name)
        self._lanes.retire(self._scheduler.lanes[held.job.queue.name])

    def give_up(self, job: Job, until: float = -math.inf) -> None:
        """Give a job back that was never started, to be ready at a time of trio's clock."""
        held = self._leases.drop(job)
        self._scheduler.abandon(job)
        self._give_back(held, until)
        self._lanes.retire(self._scheduler.lanes[job.queue.name])

    def _give_back(self, held: Held, until: float = -math.inf) -> None:
        self._counters.returned += 1
        self._writer.give_back(held.ticket, until)

    def _ended(self, held: Held, outcome: Outcome[Any], task: LiveTask) -> EndedJob:
        """Say what the store is told. What cannot be written down makes a failure of whatever it was."""
        try:
            return self._told(held, outcome, task)
        except Exception as error:  # noqa: BLE001 - what a task has left must not end the run
            failure = Failure(error=error, **task.times())
            told = Completion(
                ticket=held.ticket, status=JobStatus.FAILED, error=error_text(error), again=UNREADABLE_AGAIN
            )
            return EndedJob(failure, told)

    def _told(self, held: Held, outcome: Outcome[Any], task: LiveTask) -> EndedJob:
        result: Content | None = None
        if isinstance(outcome, Success):
            try:
                result = content_of(outcome.value)
            except TypeError as error:
                outcome = Failure(error=error, **task.times())
        again, history = self._again(held, outcome, result, task)
        completion = Completion(
            ticket=held.ticket,
            status=status_of(outcome),
            result=result,
            error=_said(outcome),
            follow_ups=tuple(job for jobs in held.follow_ups.values() for job in jobs),
            validators=dict(held.validators) if isinstance(outcome, Success) else {},
            again=again,
            history=history,
            keep=min(_LONGEST, (isinstance(outcome, Skipped) and outcome.again_after) or 0.0),
            outcome=None if self._deliver_within is None else outcome_text(outcome, held.claimed.payload, result),
            deliver=self._deliver_within or 0.0,
        )
        return EndedJob(outcome, completion)

    def _again(
        self, held: Held, outcome: Outcome[Any], result: Content | None, task: LiveTask
    ) -> tuple[float | None, str | None]:
        """Say in how many seconds a job that recurs is due again, and what to remember of it."""
        if held.claimed.cadence is None:
            return None, None
        history = History.from_json(held.claimed.history)
        digest = None if result is None else digest_of(result)
        asked = max(0.0, task.lane.gate.penalty.until - trio.current_time())
        polled = Polled.UNCHANGED
        match outcome:
            case Success():
                polled = Polled.UNCHANGED if digest == history.digest else Polled.CHANGED
            case Failure():
                polled = Polled.FAILED
            case Skipped(again_after=seconds):
                asked = max(asked, seconds or 0.0)
        cadence = cadence_from_json(held.claimed.cadence)
        after, wait = next_due(cadence, history, polled, hint=task.fresh, asked=asked, digest=digest, draw=self._draw)
        soonest = max(asked, min(task.fresh, cadence.maximum))
        return min(_LONGEST, max(wait - self._early, min(wait, soonest), 0.0)), after.to_json()


def _said(outcome: Outcome[Any]) -> str | None:
    match outcome:
        case Failure(error=error):
            return error_text(error)
        case Skipped(reason=reason):
            return written(reason)
        case _:
            return None
