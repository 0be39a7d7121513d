"""Admission of claimed jobs to a run: what `Admission` is for a run over a source."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import trio

from scrapeengine.decide.poison import is_poison
from scrapeengine.decide.records import context_of, event_of
from scrapeengine.model.instrument import JobClaimed
from scrapeengine.model.job import Claimed
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Ends, Parts
from scrapeengine.schedule.lane import Lane
from scrapeengine.served.closings import Closings
from scrapeengine.served.completions import Completions
from scrapeengine.served.leases import Leases
from scrapeengine.served.redelivery import Redelivery
from scrapeengine.served.sharing import Sharing
from scrapeengine.served.writer import EndedJob, Writer
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["LaneDesk"]

_STAND_OFF = 1.0
"""Seconds for which a job is left alone whose event still runs on its platform here, by an earlier lease."""


@uninterrupted
class LaneDesk:
    """Takes jobs onto the lanes of a run. Implements `served.claims.Desk`."""

    def __init__(
        self,
        parts: Parts,
        ends: Ends,
        *,
        leases: Leases,
        writer: Writer,
        completions: Completions,
        closings: Closings,
        sharing: Sharing | None,
        redelivery: Redelivery,
    ) -> None:
        self._parts = parts
        self._ends = ends
        self._leases = leases
        self._writer = writer
        self._completions = completions
        self._closings = closings
        self._sharing = sharing
        self._redelivery = redelivery

    def opens_at(self, platform: str) -> float:
        """Say until when a platform is closed."""
        lane = self._parts.scheduler.lanes.get(platform)
        return self._parts.lanes.gates.closed_until(platform) if lane is None else lane.gate.penalty.until

    def wanted(self, platform: str) -> int:
        """Say for how many more jobs the lane of a platform has room: what it can start, and half its limit beyond."""
        plan = self._parts.plan
        if not plan.serves(platform):
            return 0
        lane, limit = self._parts.scheduler.lanes.get(platform), plan.platform(platform).limit
        if limit == 0 or platform in self._parts.lanes.pauses.by_store or (lane is not None and lane.at_bound):
            return 0
        ahead = max(1, limit // 2)
        if lane is None:
            return limit + ahead
        lacking = max(0, lane.limit.free) + ahead - lane.queue.waiting
        # A few at a time would be many calls.
        return 0 if 2 * lacking < ahead else lacking

    def room(self) -> int:
        """Say how many more jobs may wait in all lanes together."""
        settings = self._parts.plan.settings
        return min(settings.lookahead, settings.max_pending) - self._parts.scheduler.agenda.waiting_events

    def is_busy(self) -> bool:
        """Say whether the run has anything in hand, for the lanes, the store or the sinks."""
        return bool(len(self._leases) or self._writer.behind or self._redelivery.behind)

    def leave_closed(self) -> None:
        """Give back all that is in hand if all of it only waits for closed platforms.

        While a task runs, or is parked, its run goes on, and what waits may as well wait here.
        """
        scheduler, now, lanes = self._parts.scheduler, trio.current_time(), self._lanes_at_work()
        if any(lane.records or not lane.gate.closed(now) for lane in lanes):
            return
        for lane in lanes:
            for job in lane.queue.waiting_jobs():
                self._ends.turn_away(job, lane)
        scheduler.settle()

    def leave_paused(self) -> None:
        """Give back what is parked where the limit is 0, if nothing else is in hand that can go on now.

        As long as something can, the limit may as well come back before the run would end.
        """
        now, lanes = trio.current_time(), self._lanes_at_work()
        paused = [lane for lane in lanes if not lane.limit.own]
        others = (lane for lane in lanes if lane.limit.own)
        if any(lane.limit.taken for lane in paused) or any(
            lane.records or not lane.gate.closed(now) for lane in others
        ):
            return
        for lane in paused:
            lane.cancel_parked("the platform is paused")

    def _lanes_at_work(self) -> list[Lane]:
        return [lane for lane in self._parts.scheduler.lanes.values() if lane.records or lane.queue.waiting]

    async def hear(self, ready: Collection[str]) -> None:
        """Hear whether platforms that have ready jobs were closed or reopened by hand."""
        await self._closings.hear(ready)

    def accept(self, claimed: Sequence[Claimed], until: float) -> None:
        """Take jobs that were claimed together. What of them may start does so in one step, the most urgent first."""
        for each in claimed:
            self._accept(each, until)
        self._parts.scheduler.settle()

    def _accept(self, claimed: Claimed, until: float) -> None:
        parts, now = self._parts, trio.current_time()
        scheduler, ticket = parts.scheduler, claimed.ticket
        if claimed.damage is not None:
            self._set_aside(self._completions.damaged(claimed), "its row in the store is damaged; enqueue it again")
            return
        try:
            event = event_of(ticket.id, claimed.priority, claimed.payload)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(self._completions.unreadable(claimed, error), "its payload cannot be read")
            return
        if is_poison(claimed.deaths):
            self._set_aside(
                self._completions.poisonous(claimed, event),
                "processes have died of it; look at it, then have it run again with store.retry",
                claimed.deaths,
            )
            return
        live = scheduler.agenda.live
        lane = parts.lanes.get(ticket.platform, now)
        job = scheduler.agenda.join(event, lane.queue, now=now)
        if job is None:
            self._writer.give_back(ticket, now + _STAND_OFF)
            return
        parts.counters.events += scheduler.agenda.live - live
        parts.counters.tasks += 1
        self._leases.take(claimed, job, until)
        if parts.instruments.job_claimed:
            context, recurs = context_of(claimed.payload), claimed.cadence is not None
            details = JobClaimed(time=now, platform=ticket.platform, id=ticket.id, context=context, recurs=recurs)
            parts.instruments.tell(parts.instruments.job_claimed, details)
        if scheduler.stopped is not None:  # the claim was on its way then
            self._ends.give_up(job, scheduler.stopped)
        elif lane.limit.stopped or not lane.limit.own:  # it was claimed before it was known that the platform is paused
            self._ends.give_up(job, "the platform is paused")
        elif not lane.patient(now):
            self._ends.turn_away(job, lane)
        else:
            scheduler.kick(lane)
            if self._sharing is not None:
                self._sharing.need()

    def _set_aside(self, ended: EndedJob, why: str, deaths: int = 0) -> None:
        """End a job without running it, and say so: it is a `Failure` as any other, and one line in the log."""
        ticket, counters = ended.completion.ticket, self._parts.counters
        logger().error(
            "a job is set aside", platform=named(ticket.platform), id=named(ticket.id), why=why, deaths=deaths
        )
        counters.events += 1
        counters.tasks += 1
        self._writer.end(ended)
