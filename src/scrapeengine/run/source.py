"""A run over events that a program hands to it.

source ──> intake ──> admission ──> agenda
                          ^
                          └── follow ── task
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped
from scrapeengine.model.validators import Validator
from scrapeengine.run.admission import Admission
from scrapeengine.run.backing import Parts, RunHooks
from scrapeengine.run.intake import Events, Intake
from scrapeengine.run.plan import Plan
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.tasks.running import RunningTask
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["DirectEnds", "SourceBacking", "SourceWork"]


@uninterrupted
class DirectEnds:
    """Takes tasks off the scheduler, and their outcomes straight to the outbox. Implements `run.backing.Ends`."""

    waiting = 0

    def __init__(self, parts: Parts) -> None:
        self._skips = parts.plan.skips
        self._scheduler = parts.scheduler
        self._lanes = parts.lanes
        self._outbox = parts.outbox

    def finish(self, task: RunningTask, outcome: Outcome[Any]) -> None:
        """End a task that was started, and let others run in its place."""
        record = task.record
        self._scheduler.end(record)
        if isinstance(outcome, Skipped) and outcome.again_after is not None:
            until = trio.current_time() + outcome.again_after
            self._skips.add(outcome.event.id, outcome.platform, until, outcome.reason)
        # Before the next ones start: what they find in the outbox says whether there is room for theirs.
        self._outbox.deliver(outcome)
        self._scheduler.settle()
        self._lanes.retire(record.lane)

    def give_up(self, job: Job, reason: str) -> None:
        """End a job that was never started, since the run ends."""
        self._abandon(job, Cancelled, reason=reason)

    def turn_away(self, job: Job, lane: Lane) -> None:
        """End a job that was never started, since its platform is closed for too long."""
        self._abandon(job, Failure, error=lane.impatience(trio.current_time()))

    def _abandon(self, job: Job, kind: type[Cancelled | Failure], **how: Any) -> None:
        entry = job.entry
        self._scheduler.abandon(job)
        queued = trio.current_time() - entry.accepted
        self._outbox.deliver(kind(event=entry.event, platform=job.queue.name, queued=queued, **how))
        self._lanes.retire(self._scheduler.lanes[job.queue.name])


@uninterrupted
class SourceBacking:
    """The source of a run. Implements `run.backing.Backing`; most of what a run says is nothing to it.

    Size: the methods of its protocol.
    """

    settled = True
    receipts = None

    def __init__(self, parts: Parts, events: Events) -> None:
        parts.plan.skips.attach(parts.counters.anchor)
        self._clients = parts.clients
        self.ends = DirectEnds(parts)
        self._admission = Admission(parts, self.ends)
        self.jobs = Intake(events, self._admission)
        self.wake = self.jobs.wake
        """Reads on, where there is room for outcomes."""

    async def pending(self) -> Mapping[str, int] | None:
        """Count the events that the source still has, if it has a length. No checkpoint."""
        left = self.jobs.left()
        return None if left is None else {"": left}

    def open(self, nursery: trio.Nursery) -> None:
        """Do nothing: the intake is all that works here."""

    async def close(self) -> None:
        """Do nothing. No checkpoint."""

    def follow(self, record: TaskRecord, event: Event) -> bool:
        """Add an event to the run."""
        del record
        return self._admission.follow(event)

    async def remember(self, record: TaskRecord, found: Mapping[str, Validator | None]) -> None:
        """Keep validators where the program keeps them, or in memory."""
        await self._clients.remember(record.lane.queue.name, found)

    def started(self, record: TaskRecord) -> None:
        """Read on if there is much room."""
        del record
        if self.jobs.pause is not None and self._admission.has_much_room():
            self.jobs.wake()

    def retuned(self) -> None:
        """Do nothing: who waits for room is woken by `taken`."""

    def dry(self, lane: Lane) -> None:
        """Do nothing: no rate is shared."""

    def stranded(self, record: TaskRecord) -> None:
        """Do nothing: it stays parked until the limit comes back."""

    def closed(self, lane: Lane) -> None:
        """Do nothing."""

    def closed_by_hand(self, platform: str, seconds: float) -> None:
        """Do nothing: the run knows."""

    def reopened_by_hand(self, platform: str) -> None:
        """Do nothing: the run knows."""

    def unwanted(self) -> None:
        """Do nothing: nobody keeps them."""

    def left(self) -> None:
        """Do nothing: there is nothing that works beside the run."""

    def quiet(self) -> None:
        """Do nothing."""

    def ended(self) -> None:
        """Do nothing."""


@attrs.frozen(eq=False, repr=False)
class SourceWork:
    """Events to run. Implements `run.backing.Work`."""

    events: Events
    share: float = attrs.field(default=math.inf, init=False)
    """No platform is shared with other engines."""

    async def check(self, plan: Plan) -> None:
        """Refuse nothing. No checkpoint."""

    def gates(self, plan: Plan) -> Gates:
        """Return the engine's own gates."""
        return plan.gates

    def backing(self, parts: Parts, hooks: RunHooks) -> SourceBacking:
        """Make what is behind the run."""
        del hooks
        return SourceBacking(parts, self.events)
