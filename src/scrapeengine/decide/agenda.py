"""Which task comes next: the events that a run has accepted, and what waits for each platform.

An accepted event is an `Entry`; each of its tasks, until it has ended, is a `Job` in the `Queue` of its platform.

Invariants:

- An entry is *in progress* while it holds an event slot. It takes one with its first start, and keeps it as long as one
  of its jobs keeps it: one that runs, or one that waits for an open platform. Without such a job it is parked (or has
  ended) and the slot is given back.
- In a queue, jobs whose event is in progress (*held*) stand apart from those whose event is not (*fresh*), since only
  the latter need an event slot. At equal priority held ones come first: without that rule, events that hold all event
  slots and wait for a platform, and events that hold that platform and wait for an event slot, would wait for each
  other for ever.
- Within a heap the order is priority, then arrival. Entries of a heap may be stale (started, ended, moved to the other
  heap); they are dropped when they come up. A job stands at most once in each heap.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush

import attrs

from scrapeengine.model.event import Event

__all__ = ["Agenda", "Entry", "Job", "JobState", "Queue"]


class JobState(enum.Enum):
    """Where a job is on its way: it waits, then runs and is parked by turns, then has ended."""

    WAITING = enum.auto()
    RUNNING = enum.auto()
    PARKED = enum.auto()
    ENDED = enum.auto()


_WAITING, _RUNNING, _PARKED, _ENDED = JobState


@attrs.define(eq=False)
class Entry:
    """An accepted event."""

    event: Event
    accepted: float
    """When it was accepted."""
    followed: bool
    """Whether it came by `task.follow`."""
    jobs: Sequence[Job] = ()
    """One for each platform."""
    unfinished: int = 0
    """Jobs that have not ended."""
    unstarted: int = 0
    """Jobs that wait for their start."""
    in_progress: bool = False
    """Whether it holds an event slot."""
    keeping: int = 0
    """Jobs that keep it in progress; kept only while it is."""


@attrs.define(eq=False)
class Job:
    """One event on one platform, until it has ended."""

    entry: Entry
    queue: Queue
    urgency: int
    """The event's priority negated: smaller comes first."""
    number: int
    """The order of arrival."""
    state: JobState = _WAITING
    in_held: bool = False
    in_fresh: bool = False


@attrs.define(eq=False)
class Queue:
    """What waits for one platform."""

    name: str
    open: bool = True
    """False while no task may start for a reason of the platform's own: it is closed, paused or stuck."""
    waiting: int = 0
    """Jobs that wait for their start."""
    _held: list[tuple[int, int, Job]] = attrs.field(factory=list, init=False)
    _fresh: list[tuple[int, int, Job]] = attrs.field(factory=list, init=False)

    def put(self, job: Job) -> None:
        """List a waiting job where it belongs now."""
        if job.entry.in_progress:
            if not job.in_held:
                job.in_held = True
                heappush(self._held, (job.urgency, job.number, job))
        elif not job.in_fresh:
            job.in_fresh = True
            heappush(self._fresh, (job.urgency, job.number, job))

    def choose(self, *, may_begin: bool) -> Job | None:
        """Look at the most urgent job; if `may_begin` is false, of those whose event is in progress."""
        held = self._first_held()
        if not may_begin:
            return held
        fresh = self._first_fresh()
        if held is None or (fresh is not None and fresh.urgency < held.urgency):
            return fresh
        return held

    def held_jobs(self) -> list[Job]:
        """List the waiting jobs whose event is in progress."""
        return [job for _, _, job in self._held if job.state is _WAITING and job.entry.in_progress]

    def waiting_jobs(self) -> list[Job]:
        """List all waiting jobs, the most urgent first."""
        fresh = [job for _, _, job in self._fresh if job.state is _WAITING and not job.entry.in_progress]
        return sorted(fresh + self.held_jobs(), key=lambda job: (job.urgency, job.number))

    def _first_held(self) -> Job | None:
        heap = self._held
        while heap:
            job = heap[0][2]
            if job.state is _WAITING and job.entry.in_progress:
                return job
            heappop(heap)
            job.in_held = False
        return None

    def _first_fresh(self) -> Job | None:
        heap = self._fresh
        while heap:
            job = heap[0][2]
            if job.state is _WAITING and not job.entry.in_progress:
                return job
            heappop(heap)
            job.in_fresh = False
        return None


@attrs.define(eq=False)
class Agenda:
    """All that a run has accepted and not ended.

    Its methods change state and say what follows from it; that a slot is free when one is taken is up to the caller.
    """

    dedupe: bool = False
    """Whether the ids of all events are remembered, or only those of followed ones."""
    waiting_events: int = attrs.field(default=0, init=False)
    """Events with a job that waits for its start."""
    waiting_from_source: int = attrs.field(default=0, init=False)
    """Those of them that came from the source."""
    _live: dict[str, Entry] = attrs.field(factory=dict, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)
    _numbers: int = attrs.field(default=0, init=False)

    @property
    def live(self) -> int:
        """How many events have not ended."""
        return len(self._live)

    def entries(self) -> Iterator[Entry]:
        """Walk through the events that have not ended."""
        return iter(self._live.values())

    def knows(self, id: str) -> bool:
        """Say whether an event of that id would be a duplicate."""
        return id in self._live or id in self._seen

    def accept(self, event: Event, queues: Iterable[Queue], *, now: float, followed: bool) -> Entry:
        """Take an event that is no duplicate, with a job in each of the queues; without queues it has ended."""
        if followed or self.dedupe:
            self._seen.add(event.id)
        entry = Entry(event, now, followed)
        jobs = []
        for queue in queues:
            job = Job(entry, queue, -event.priority, self._numbers)
            self._numbers += 1
            queue.waiting += 1
            queue.put(job)
            jobs.append(job)
        if jobs:
            entry.jobs = jobs
            entry.unfinished = entry.unstarted = len(jobs)
            self._live[event.id] = entry
            self.waiting_events += 1
            self.waiting_from_source += not followed
        return entry

    def begin(self, entry: Entry) -> list[Queue]:
        """Put an event in progress; it takes an event slot. Returns the queues in which its jobs are held from now."""
        entry.in_progress = True
        entry.keeping = 0
        queues = []
        for job in entry.jobs:
            if job.state is _WAITING:
                entry.keeping += job.queue.open
                job.queue.put(job)
                queues.append(job.queue)
        return queues

    def start(self, job: Job) -> None:
        """Let a waiting job of an event in progress run. Its queue is open."""
        job.state = _RUNNING
        self._unlist(job)

    def park(self, job: Job) -> bool:
        """Take a running job off its slot. Returns whether its event gives its event slot back."""
        job.state = _PARKED
        return self._released(job.entry)

    def resume(self, job: Job) -> None:
        """Let a parked job of an event in progress run again."""
        job.state = _RUNNING
        job.entry.keeping += 1

    def end(self, job: Job) -> bool:
        """End a job, whatever its state. Returns whether its event gives its event slot back."""
        before, job.state = job.state, _ENDED
        if before is _WAITING:
            self._unlist(job)
        entry = job.entry
        entry.unfinished -= 1
        if not entry.unfinished:
            del self._live[entry.event.id]
        if before is _RUNNING or (before is _WAITING and job.queue.open and entry.in_progress):
            return self._released(entry)
        return False

    def close(self, queue: Queue) -> list[Entry]:
        """Close a platform. Returns the events that are parked by it, and give their event slots back."""
        held = queue.held_jobs()
        queue.open = False
        return [job.entry for job in held if self._released(job.entry)]

    def open(self, queue: Queue) -> None:
        """Open a platform."""
        queue.open = True
        for job in queue.held_jobs():
            job.entry.keeping += 1

    def _unlist(self, job: Job) -> None:
        """Take note that a job waits no more."""
        job.queue.waiting -= 1
        entry = job.entry
        entry.unstarted -= 1
        if not entry.unstarted:
            self.waiting_events -= 1
            self.waiting_from_source -= not entry.followed

    def _released(self, entry: Entry) -> bool:
        """Take note that a job keeps its event in progress no more. Returns whether it was the last one to do so."""
        entry.keeping -= 1
        if entry.keeping:
            return False
        entry.in_progress = False
        for job in entry.jobs:
            if job.state is _WAITING:
                job.queue.put(job)
        return True
