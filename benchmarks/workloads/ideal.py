"""Ideal greedy scheduling in source order: what any way of scheduling a workload is measured against.

At each instant at which something changes, the tasks that wait are gone through in source order: that of the events,
then of the tasks of each. Each is started that may start: its platform has a slot, its rate is open (GCRA), and its
event is in progress or there is an event slot. Then time goes on to the next end of a task, or to the next opening of a
rate. Nothing costs time but the requests, nothing is known of how long they will take, and what runs is never
interrupted. Events that a task leads to come after all others, in the order in which they became known.

It is no optimum, and no bound: another order may do better by luck, as it is not known which tasks are the long ones.

Each task is one request, which counts for the rate when its task starts. An event has its slot from the start of its
first task to the end of its last one, also while all that is left of it waits for a start. The engine does the same
where a platform is open, as all are here; it gives the slot back only where platforms are closed or paused, and for a
task that waits in its middle, for a second request or a retry. Here what is tried again takes as long as all attempts
together, in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

import attrs

from benchmarks.workloads.loads import Event, Load, Platform, Task

__all__ = ["PlatformState", "Schedule", "Span", "greedy", "ideal", "makespan", "unused"]


class Span(NamedTuple):
    """When a task runs."""

    start: float
    end: float


Schedule: TypeAlias = dict[tuple[str, str], Span]
"""When each task runs, by its event's id and its platform."""


def makespan(schedule: Schedule) -> float:
    """Say when the last task ends."""
    return max((span.end for span in schedule.values()), default=0.0)


@attrs.define(eq=False)
class PlatformState:
    """A platform while a workload is simulated: what runs, and from when on one more may start."""

    policy: Platform
    running: int = attrs.field(default=0, init=False)
    _tat: float = attrs.field(default=-math.inf, init=False)

    @property
    def opens_at(self) -> float:
        """From when on its rate lets one more request start."""
        pace = self.policy.pace
        return -math.inf if pace is None else self._tat - (pace.burst - 1) * pace.interval

    def lets_start(self, now: float) -> bool:
        """Say whether one more task may start."""
        return self.running < self.policy.limit and self.opens_at <= now

    def start(self, task: Task, now: float) -> Span:
        """Start a task."""
        self.running += 1
        if self.policy.pace is not None:
            self._tat = max(self._tat, now) + self.policy.pace.interval
        return Span(now, now + self.policy.takes(task))

    def end(self) -> None:
        """End a task."""
        self.running -= 1


def unused(platforms: Mapping[str, Platform]) -> dict[str, PlatformState]:
    """Begin with platforms that nobody has asked yet."""
    return {name: PlatformState(platform) for name, platform in platforms.items()}


def ideal(load: Load) -> Schedule:
    """Schedule a workload ideally."""
    return greedy(load.events, unused(load.platforms), load.event_limit)


def greedy(
    events: Iterable[Event], states: Mapping[str, PlatformState], event_limit: int, begin: float = 0.0
) -> Schedule:
    """Schedule events greedily in source order, from a time on, on platforms as they are then."""
    simulation = _Greedy(states, event_limit)
    for event in events:
        simulation.accept(event)
    now = begin
    while now < math.inf:
        simulation.start_what_may(now)
        now = simulation.next_change(now)
        simulation.end_what_is_done(now)
    return simulation.schedule


@attrs.define(eq=False)
class _Progress:
    """How far an event has come."""

    event: Event
    waiting: list[Task]
    """Its tasks that have not started, in their order."""
    running: int = 0

    @property
    def begun(self) -> bool:
        """Whether a task of it has started."""
        return len(self.waiting) < len(self.event.tasks)


class _Greedy:
    """The simulation."""

    def __init__(self, states: Mapping[str, PlatformState], event_limit: int) -> None:
        self.schedule: Schedule = {}
        self._states = states
        self._free = event_limit
        self._waiting: list[_Progress] = []
        self._ends: list[tuple[float, int, _Progress, Task]] = []

    def accept(self, event: Event) -> None:
        """Take an event; it comes after all others."""
        self._waiting.append(_Progress(event, list(event.tasks)))

    def start_what_may(self, now: float) -> None:
        """Go through the waiting tasks in source order, and start each that may start."""
        for progress in self._waiting:
            for task in tuple(progress.waiting):
                if (progress.begun or self._free) and self._states[task.platform].lets_start(now):
                    self._start(progress, task, now)
        self._waiting = [progress for progress in self._waiting if progress.waiting]

    def next_change(self, now: float) -> float:
        """Say when something ends or opens next; infinite: never again."""
        openings = [state.opens_at for state in self._states.values() if state.opens_at > now] if self._waiting else []
        return min([end for end, *_ in self._ends[:1]] + openings, default=math.inf)

    def end_what_is_done(self, now: float) -> None:
        """End the tasks whose time has come, and take what they lead to."""
        while self._ends and self._ends[0][0] <= now:
            _, _, progress, task = heappop(self._ends)
            self._states[task.platform].end()
            progress.running -= 1
            self._free += not (progress.running or progress.waiting)
            for event in task.leads_to:
                self.accept(event)

    def _start(self, progress: _Progress, task: Task, now: float) -> None:
        self._free -= not progress.begun
        progress.waiting.remove(task)
        progress.running += 1
        span = self._states[task.platform].start(task, now)
        heappush(self._ends, (span.end, len(self.schedule), progress, task))
        self.schedule[progress.event.id, task.platform] = span
