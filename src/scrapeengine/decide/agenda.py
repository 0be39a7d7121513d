"""The agenda, which says which task comes next: the events that a run has accepted, and what waits for each platform.

An accepted event is an `Entry`; each of its tasks, until it has ended, is a `Job` in the `Queue` of its platform.

Invariants:

- An entry is *in progress* while it holds an event slot. It takes one with its first start, and keeps it as long as one
  of its jobs keeps it: one that runs, one that waits for an open platform, or one that is parked and was *called back*
  by its platform, which has no turn for it yet. Without such a job it is parked (or has ended) and the slot is given
  back.
- In a queue, jobs whose event is in progress (*held*) stand apart from those whose event is not (*fresh*), since only
  the latter need an event slot. At equal priority held ones come first: without that rule, events that hold all event
  slots and wait for a platform, and events that hold that platform and wait for an event slot, would wait for each
  other for ever.
- Within either the order is priority, then arrival.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush

import attrs

from scrapeengine.decide.seen import SeenTasks
from scrapeengine.model.event import Event

__all__ = ["Agenda", "Entry", "Job", "JobState", "Queue"]


class JobState(enum.Enum):
    """The state of a job: it waits, then runs and is parked by turns, then has ended."""

    WAITING = enum.auto()
    RUNNING = enum.auto()
    PARKED = enum.auto()
    ENDED = enum.auto()


_WAITING, _RUNNING, _PARKED, _ENDED = JobState

_SWEEP = 32
"""The number of stale jobs that a heap may hold beside as many as it has others."""


@attrs.define(eq=False, repr=False)
class Entry:
    """An accepted event."""

    event: Event
    accepted: float
    """When it was accepted."""
    followed: bool
    """Whether it came by `task.follow`."""
    key: Hashable
    """The key under which it is live: the event's id, or that and a number."""
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

    def __repr__(self) -> str:
        """Count what is there."""
        return (
            f"<Entry {self.unfinished} of {len(self.jobs)} jobs live, {'' if self.in_progress else 'not '}in progress>"
        )


@attrs.define(eq=False, repr=False)
class Job:
    """One event on one platform, until it has ended."""

    entry: Entry
    queue: Queue
    urgency: int
    """The event's priority negated: smaller comes first."""
    number: int
    """The order of arrival."""
    state: JobState = _WAITING

    def __repr__(self) -> str:
        """Say how it stands."""
        return f"<Job on {self.queue.name!r} {self.state.name.lower()}>"


def _has_live(entry: Entry, platform: str) -> bool:
    """Say whether an event has a job on a platform that has not ended."""
    return any(job.queue.name == platform and job.state is not _ENDED for job in entry.jobs)


class Heap:
    """Waiting jobs whose event is, or is not, in progress: the most urgent first, then the first to arrive.

    What is stale (started, ended, its event's state changed) is dropped when it comes up, and all of it when the heap
    has doubled since it was last gone through. A job stands here once at most.
    """

    def __init__(self, *, held: bool) -> None:
        """Make an empty heap, for jobs whose event is in progress, or for all others."""
        self._held = held
        self._heap: list[tuple[int, int, Job]] = []
        self._listed: set[int] = set()
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        """Count what stands here, the stale included."""
        return len(self._heap)

    def put(self, job: Job) -> None:
        """List a job."""
        if job.number in self._listed:
            return
        if len(self._heap) >= self._sweep_at:
            self._heap = [each for each in self._heap if self._belongs(each[2])]
            self._listed = {each[1] for each in self._heap}
            self._sweep_at = 2 * len(self._heap) + _SWEEP
            heapify(self._heap)
        self._listed.add(job.number)
        heappush(self._heap, (job.urgency, job.number, job))

    def first(self) -> Job | None:
        """Look at the most urgent job."""
        while self._heap:
            job = self._heap[0][2]
            if self._belongs(job):
                return job
            heappop(self._heap)
            self._listed.discard(job.number)
        return None

    def jobs(self) -> list[Job]:
        """List all jobs, in no order."""
        return [job for _, _, job in self._heap if self._belongs(job)]

    def _belongs(self, job: Job) -> bool:
        return job.state is _WAITING and job.entry.in_progress is self._held

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Heap {len(self._heap)}>"


@attrs.define(eq=False, repr=False)
class Queue:
    """The jobs that wait for one platform."""

    name: str
    open: bool = True
    """False while no task may start for a reason of the platform's own: it is closed, paused or stuck."""
    waiting: int = 0
    """Jobs that wait for their start."""
    since: float = float("-inf")
    """When the first of these came; some have waited here ever since."""
    called_back: Job | None = None
    """A parked job that keeps its event in progress, so that only the platform's turn is lacking; one at most."""
    _held: Heap = attrs.field(factory=lambda: Heap(held=True), init=False)
    _fresh: Heap = attrs.field(factory=lambda: Heap(held=False), init=False)

    def put(self, job: Job) -> None:
        """List a waiting job where it belongs now."""
        (self._held if job.entry.in_progress else self._fresh).put(job)

    def choose(self, *, may_begin: bool) -> Job | None:
        """Look at the most urgent job; if `may_begin` is false, of those whose event is in progress."""
        held = self._held.first()
        if not may_begin:
            return held
        fresh = self._fresh.first()
        if held is None or (fresh is not None and fresh.urgency < held.urgency):
            return fresh
        return held

    def held_jobs(self) -> list[Job]:
        """List the waiting jobs whose event is in progress."""
        return self._held.jobs()

    def waiting_jobs(self) -> list[Job]:
        """List all waiting jobs, the most urgent first."""
        return sorted(self._fresh.jobs() + self._held.jobs(), key=lambda job: (job.urgency, job.number))

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Queue {self.name!r} {'open' if self.open else 'closed'}, {self.waiting} waiting>"


@attrs.define(eq=False, repr=False)
class Agenda:
    """The events that a run has accepted and not ended.

    Its methods change state and say what follows from it; that a slot is free when one is taken is up to the caller.

    Size: 20 methods. Each is one thing that can happen to an event or a job; the invariants hold over all of them.
    """

    dedupe: bool = False
    """Whether all tasks are remembered, or only those of followed events."""
    key: bytes = b""
    """The key under which they are remembered; see `SeenTasks`."""
    waiting_events: int = attrs.field(default=0, init=False)
    """Events with a job that waits for its start."""
    waiting_from_source: int = attrs.field(default=0, init=False)
    """Those of them that came from the source."""
    _live: dict[Hashable, Entry] = attrs.field(factory=dict, init=False)
    """The events that have not ended, by their keys: the id, and for further events of one id that and a number."""
    _further: dict[str, list[Entry]] = attrs.field(factory=dict, init=False)
    """The further ones of these, by id."""
    _seen: SeenTasks = attrs.field(init=False, default=attrs.Factory(lambda self: SeenTasks(self.key), takes_self=True))
    _numbers: int = attrs.field(default=0, init=False)

    @property
    def live(self) -> int:
        """The number of events that have not ended."""
        return len(self._live)

    def entries(self) -> Iterator[Entry]:
        """Walk through the events that have not ended."""
        return iter(self._live.values())

    def knows(self, id: str, platform: str) -> bool:
        """Say whether a task would be a duplicate: it is live, or was seen and is remembered."""
        entry = self._live.get(id)
        if entry is not None and _has_live(entry, platform):
            return True
        if self._further and any(_has_live(entry, platform) for entry in self._further.get(id, ())):
            return True
        return bool(self._seen.tables) and self._seen.has(platform, id)

    def accept(self, event: Event, queues: Iterable[Queue], *, now: float, followed: bool) -> Entry:
        """Take an event, with a job in each of the queues, on none of which it is known; without any it has ended."""
        entry = Entry(event, now, followed, event.id)
        jobs = []
        for queue in queues:
            jobs.append(self._listed(entry, queue, now))  # noqa: PERF401 - see the caller: a comprehension is a call
        if followed or self.dedupe:
            for queue in queues:
                self._seen.add(queue.name, event.id)
        if jobs:
            entry.jobs = jobs
            entry.unfinished = entry.unstarted = len(jobs)
            if event.id in self._live:
                self._put_beside(entry)
            else:
                self._live[event.id] = entry
            self.waiting_events += 1
            self.waiting_from_source += not followed
        return entry

    def remember(self, id: str, platform: str, *, followed: bool) -> None:
        """Remember a task that has ended as it came, as those are that are accepted."""
        if followed or self.dedupe:
            self._seen.add(platform, id)

    def join(self, event: Event, queue: Queue, *, now: float) -> Job | None:
        """Take one job of an event, whose others may be live already: they share its event slot.

        Returns:
            The job; None if the event is live on that platform. Of two events that have nothing but their id in common
            each is in progress by itself.
        """
        live = [*filter(None, [self._live.get(event.id)]), *self._further.get(event.id, ())]
        if any(_has_live(entry, queue.name) for entry in live):
            return None
        entry = next((entry for entry in live if entry.event == event), None)
        if entry is None:
            entry = Entry(event, now, followed=False, key=event.id)
            if live:
                self._put_beside(entry)
            else:
                self._live[event.id] = entry
        if not entry.unstarted:
            self.waiting_events += 1
            self.waiting_from_source += 1
        job = self._listed(entry, queue, now)
        entry.jobs = [*(job for job in entry.jobs if job.state is not _ENDED), job]
        entry.unfinished += 1
        entry.unstarted += 1
        if entry.in_progress:
            entry.keeping += queue.open
        return job

    def begin(self, entry: Entry) -> list[Queue]:
        """Put an event in progress; it takes an event slot. Returns the queues in which its jobs are held from now."""
        entry.in_progress = True
        queues = []
        for job in entry.jobs:
            if job.state is _WAITING:
                entry.keeping += job.queue.open
                job.queue.put(job)
                queues.append(job.queue)
        return queues

    def start(self, job: Job) -> None:
        """Let a waiting job of an event in progress run. Its queue is open."""
        # `keeping` stays as it is: the job has kept its event in progress while it waited here, and does while it runs.
        job.state = _RUNNING
        self._unlist(job)

    def park(self, job: Job) -> bool:
        """Take a running job off its slot. Returns whether its event gives its event slot back."""
        job.state = _PARKED
        return self._released(job.entry)

    def call_back(self, job: Job) -> None:
        """Let a parked job keep its event, which is in progress, until it is resumed. Its queue is open."""
        job.queue.called_back = job
        job.entry.keeping += 1

    def resume(self, job: Job) -> None:
        """Let a parked job of an event in progress run again."""
        job.state = _RUNNING
        if job.queue.called_back is job:
            job.queue.called_back = None  # and goes on keeping it
        else:
            job.entry.keeping += 1

    def end(self, job: Job) -> bool:
        """End a job, whatever its state. Returns whether its event gives its event slot back."""
        before, job.state = job.state, _ENDED
        if before is _WAITING:
            self._unlist(job)
        entry = job.entry
        entry.unfinished -= 1
        if not entry.unfinished:
            del self._live[entry.key]
            if entry.key != entry.event.id:
                self._leave_further(entry)
            # No job of it waits any more. Entry and jobs know each other: a cycle would have to wait for the collector.
            entry.jobs = ()
        # Only these kept it in progress: one that is parked, or waits for a closed platform, does not.
        keeps = before is _RUNNING or (before is _WAITING and job.queue.open and entry.in_progress)
        if job.queue.called_back is job:
            job.queue.called_back, keeps = None, True
        return keeps and self._released(entry)

    def close(self, queue: Queue) -> list[Entry]:
        """Close a platform. Returns the events that are parked by it, and give their event slots back."""
        held = queue.held_jobs()
        if queue.called_back is not None:
            held.append(queue.called_back)
        queue.open, queue.called_back = False, None
        return [job.entry for job in held if self._released(job.entry)]

    def open(self, queue: Queue) -> None:
        """Open a platform."""
        queue.open = True
        for job in queue.held_jobs():
            job.entry.keeping += 1

    def _put_beside(self, entry: Entry) -> None:
        """Let an event be live beside another one of its id."""
        entry.key = entry.event.id, self._numbers
        self._further.setdefault(entry.event.id, []).append(entry)
        self._live[entry.key] = entry

    def _leave_further(self, entry: Entry) -> None:
        further = self._further[entry.event.id]
        further.remove(entry)
        if not further:
            del self._further[entry.event.id]

    def _listed(self, entry: Entry, queue: Queue, now: float) -> Job:
        """Make a job, and let it wait."""
        if not queue.waiting:
            queue.since = now
        job = Job(entry, queue, -entry.event.priority, self._numbers)
        self._numbers += 1
        queue.waiting += 1
        queue.put(job)
        return job

    def _unlist(self, job: Job) -> None:
        """Strike a job off those that wait."""
        job.queue.waiting -= 1
        entry = job.entry
        entry.unstarted -= 1
        if not entry.unstarted:
            self.waiting_events -= 1
            self.waiting_from_source -= not entry.followed

    def _released(self, entry: Entry) -> bool:
        """Let a job keep its event in progress no more. Returns whether it was the last one to do so."""
        entry.keeping -= 1
        if entry.keeping:
            return False
        entry.in_progress = False
        for job in entry.jobs:
            if job.state is _WAITING:
                job.queue.put(job)
        return True

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Agenda {self.live} events live, {self.waiting_events} waiting>"
