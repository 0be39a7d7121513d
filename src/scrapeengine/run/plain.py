"""A run over a source of events.

source ──> intake ──> admission ──> agenda
                          ^
                          └── follow ── task
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from scrapeengine.deliver.outbox import Sink
from scrapeengine.model.event import Event
from scrapeengine.run.admission import Admission
from scrapeengine.run.intake import Events, Intake
from scrapeengine.run.plan import Plan
from scrapeengine.run.results import Results
from scrapeengine.run.session import Session
from scrapeengine.schedule.lane import Lane
from scrapeengine.tasks.running import LiveTask

__all__ = ["PlainSession"]

T = TypeVar("T")


class PlainSession(Session[T], Generic[T]):
    """One run of an engine over events that a program hands to it."""

    def __init__(self, plan: Plan, events: Events, sinks: Sequence[Sink[T]]) -> None:
        super().__init__(plan, sinks, plan.gates)
        plan.skips.attach(self.counters.anchor)
        results = Results(self.scheduler, self.lanes, self.counters, self.outbox, plan.skips)
        self.admission = Admission(plan, self.agenda, self.scheduler, self.lanes, results, self.counters, self.outbox)
        self.furnish(results, Intake(events, self.admission.accept, self.admission.has_room))

    def launched(self, lane: Lane) -> None:
        """Read on if there is much room."""
        del lane
        if self.admission.has_much_room():
            self.intake.wake()

    def follow(self, task: LiveTask, event: Event) -> bool:
        """Add an event to the run."""
        del task
        return self.admission.follow(event)
