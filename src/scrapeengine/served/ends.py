"""Ends of the tasks of a served run: they go into the store, and from there on their way."""

from __future__ import annotations

import math
import sys
from typing import Any

import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.decide.records import NotJson
from scrapeengine.model.instrument import JobLost, JobsRenewed, JobStored
from scrapeengine.model.job import Delivery, Ticket
from scrapeengine.model.outcome import Cancelled, Failure, Outcome
from scrapeengine.model.store import Starts
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Parts, RunHooks
from scrapeengine.schedule.lane import Lane
from scrapeengine.served.claims import ReadyPlatforms
from scrapeengine.served.completions import Completions
from scrapeengine.served.deliveries import Deliveries
from scrapeengine.served.leases import Held, Leases
from scrapeengine.served.writer import EndedJob, Writer
from scrapeengine.tasks.running import RunningTask
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["StoredEnds"]


@uninterrupted
class StoredEnds:
    """Takes tasks off the scheduler; their outcomes go into the store before they go on their way.

    Implements `run.backing.Ends`, and hears from the writer (`WriterHost`) and of lost leases (`LeaseHost`).
    """

    def __init__(
        self,
        parts: Parts,
        hooks: RunHooks,
        *,
        leases: Leases,
        writer: Writer,
        ready: ReadyPlatforms,
        completions: Completions,
        starts: Starts | None,
        deliveries: Deliveries,
    ) -> None:
        """Make it.

        Args:
            parts: the run's.
            hooks: the run's.
            leases: the run's jobs.
            writer: what stores their ends.
            ready: told of lanes that have room again.
            completions: says what the store is told of each.
            starts: told at once that a scraper has ended.
            deliveries: told of outcomes that the store keeps.
        """
        self._parts = parts
        self._hooks = hooks
        self._leases = leases
        self._writer = writer
        self._ready = ready
        self._completions = completions
        self._starts = starts
        self._deliveries = deliveries

    @property
    def waiting(self) -> int:
        """Outcomes that the store does not have yet."""
        return self._writer.waiting

    # -- what has ended

    def finish(self, task: RunningTask, outcome: Outcome[Any]) -> None:
        """End a task: store its outcome, or give its job back if it was cancelled."""
        parts, record = self._parts, task.record
        parts.scheduler.end(record)
        held = self._leases.drop(record.job)
        if self._starts is not None:
            self._starts.end(held.ticket.token)
        if held.lost:
            parts.counters.lost += 1
        elif isinstance(outcome, Cancelled) or (record.stopped is not None and isinstance(outcome, Failure)):
            # A scraper that was cut off may fail in its own cleaning up: it has not had its chance.
            self._give_back(held, fatal=_ends_the_process(sys.exception()))
        else:
            self._end(held, outcome, task)
        parts.scheduler.settle()
        self._ready.room(record.lane.name)
        parts.lanes.retire(record.lane)

    def _end(self, held: Held, outcome: Outcome[Any], task: RunningTask) -> None:
        """Have the end of a task stored; if no task of its scraper can be, let none of them start any more."""
        try:
            self._writer.end(self._completions.of(held, outcome, task, trio.current_time()))
            if self._parts.instruments.watched:
                self._hooks.moved()
        except NotJson as error:
            lane = task.record.lane
            self._give_back(held)
            if lane.limit.own > 0:  # several may end like this before the first has paused it
                logger().error(
                    "a platform is paused: its scraper returns what no store can keep; do what write= says, then go "
                    "on with tune(…, limit=…)",
                    platform=named(lane.name),
                    write=error.instead,
                    exc_info=error,
                )
                self._hooks.pause(lane.name)

    def give_up(self, job: Job, reason: str = "") -> None:
        """Give a job back that was never started, since the run ends, or its platform is paused."""
        del reason
        self._return(job, -math.inf)

    def turn_away(self, job: Job, lane: Lane) -> None:
        """Give a job back that was never started, until its platform opens."""
        self._return(job, lane.gate.penalty.until)

    # -- what the store says

    def accepted(self, ended: EndedJob) -> None:
        """Send an outcome on its way, which the store has accepted."""
        if ended.completion.outcome is not None:
            self._deliveries.expect(ended.outcome, Delivery(*ended.completion.ticket), ended.completion.sinks)
        instruments = self._parts.instruments
        if instruments.job_stored:
            details = JobStored(time=trio.current_time(), outcome=ended.outcome)
            instruments.tell(instruments.job_stored, details)
        self._parts.outbox.deliver(ended.outcome)
        self._moved_on(ended)

    def refused(self, ended: EndedJob) -> None:
        """Let go of an outcome that is nobody's: the lease was lost."""
        self._parts.counters.lost += 1
        self._tell_lost(ended.completion.ticket)
        self._moved_on(ended)
        self._hooks.taken()

    def caught_up(self) -> None:
        """Look at all lanes again, and whether this was the last: the store knows all, or all was sent on its way."""
        self._leases.rest()
        self._ready.wake()
        if self._parts.instruments.watched:
            self._hooks.moved()
        self._hooks.check()

    def lose(self, held: Held) -> None:
        """Let go of a job whose lease was lost."""
        parts = self._parts
        self._tell_lost(held.ticket)
        if held.task is not None:
            held.task.cancel("its lease was lost")  # its end is to come, and is counted in `finish`
        else:
            parts.counters.lost += 1
            self._leases.drop(held.job)
            parts.scheduler.abandon(held.job)
            parts.scheduler.settle()
            self._ready.room(held.job.queue.name)
            parts.lanes.retire(parts.scheduler.lanes[held.job.queue.name])
        self._hooks.check()

    def renewed(self, jobs: int) -> None:
        """Hear that leases were renewed."""
        instruments = self._parts.instruments
        if instruments.jobs_renewed:
            instruments.tell(instruments.jobs_renewed, JobsRenewed(time=trio.current_time(), jobs=jobs))

    def _tell_lost(self, ticket: Ticket) -> None:
        instruments = self._parts.instruments
        if instruments.job_lost:
            details = JobLost(time=trio.current_time(), platform=ticket.platform, id=ticket.id)
            instruments.tell(instruments.job_lost, details)

    def _moved_on(self, ended: EndedJob) -> None:
        if ended.suspect:
            self._ready.look_again()
        self._ready.room(ended.completion.ticket.platform)
        self._hooks.check()

    def _return(self, job: Job, until: float) -> None:
        """Give a job back that was never started, to be ready at a time of trio's clock."""
        parts = self._parts
        held = self._leases.drop(job)
        parts.scheduler.abandon(job)
        self._give_back(held, until)
        parts.lanes.retire(parts.scheduler.lanes[job.queue.name])

    def _give_back(self, held: Held, until: float = -math.inf, *, fatal: bool = False) -> None:
        self._parts.counters.returned += 1
        if fatal:
            ticket = held.ticket
            logger().error(
                "a scraper has raised SystemExit, which ends the run; it is given up after some more of these",
                platform=named(ticket.platform),
                id=named(ticket.id),
                deaths=held.claimed.deaths + 1,
            )
        self._writer.give_back(held.ticket, until, died=fatal)


def _ends_the_process(error: BaseException | None) -> bool:
    """Say whether what has left a scraper is to end the process: `SystemExit`, which each run of it would raise again.

    It is the exception that is being handled where a task ends by which the run does. A `KeyboardInterrupt` is nobody's
    but the user's, whatever ran when it came.
    """
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(SystemExit) is not None and error.subgroup(KeyboardInterrupt) is None
    return isinstance(error, SystemExit)
