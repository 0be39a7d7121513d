"""What programs do that are written by hand, as models: a loop, and batches with a barrier behind each."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.workloads.ideal import Schedule, greedy, makespan, unused
from benchmarks.workloads.loads import Event, Load

__all__ = ["BATCH", "batches", "sequential"]

BATCH = 10
"""The events of a batch."""


def sequential(load: Load) -> Schedule:
    """Make one request after another, each as soon as the rate of its platform is open."""
    states, schedule, now = unused(load.platforms), Schedule(), 0.0
    events = list(load.events)
    for event in events:  # it grows
        for task in event.tasks:
            state = states[task.platform]
            span = state.start(task, max(now, state.opens_at))
            state.end()
            schedule[event.id, task.platform] = span
            now = span.end
            events += task.leads_to
    return schedule


def batches(load: Load) -> Schedule:
    """Make the requests of ten events at once, as far as limits and rates let; wait for the last before the next ten.

    What all batches have led to comes in batches of its own.
    """
    states, schedule = unused(load.platforms), Schedule()
    events = load.events
    while events:
        for first in range(0, len(events), BATCH):
            batch = [_leading_nowhere(event) for event in events[first : first + BATCH]]
            schedule |= greedy(batch, states, BATCH, begin=makespan(schedule))
        events = _followed(events)
    return schedule


def _leading_nowhere(event: Event) -> Event:
    return event._replace(tasks=tuple(task._replace(leads_to=()) for task in event.tasks))


def _followed(events: Sequence[Event]) -> list[Event]:
    return [followed for event in events for task in event.tasks for followed in task.leads_to]
