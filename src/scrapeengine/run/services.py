"""Services of a run to its tasks, and their start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from scrapeengine.decide.agenda import Job
from scrapeengine.decide.holding import Holdup
from scrapeengine.decide.rate import Booking
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import TaskStarted
from scrapeengine.model.validators import Validator
from scrapeengine.run.backing import Backing, Parts
from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.tasks.handle import TaskHttp
from scrapeengine.tasks.requesting import RequestingTask
from scrapeengine.tasks.running import RunningTask
from scrapeengine.tasks.threads import Threads
from scrapeengine.tasks.workers import Workers
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Services", "Starter"]

R = TypeVar("R")


@uninterrupted
class Services:
    """Services of a run to its tasks. Implements `tasks.handle.TaskServices`."""

    def __init__(self, parts: Parts, backing: Backing, threads: Threads) -> None:
        self.lanes = parts.lanes
        self.instruments = parts.instruments
        self.draw = parts.plan.environment.random
        """Returns a random number from 0 to 1."""
        self.wall = parts.counters.anchor.wall
        """Turns a time of the run's clock into Unix time."""
        self._clients = parts.clients
        self._backing = backing
        self._threads = threads

    def http(self, task: RequestingTask) -> TaskHttp:
        """Make the HTTP client of a task."""
        return self._clients.client(task)

    def follow(self, record: TaskRecord, event: Event) -> bool:
        """Add an event to the run; whether it was new."""
        return self._backing.follow(record, event)

    async def remember(self, record: TaskRecord, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found."""
        await self._backing.remember(record, found)

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread."""
        return await self._threads.run(function, *args)


@uninterrupted
class Starter:
    """Starts the tasks of one run. Implements `schedule.scheduler.Launcher`."""

    def __init__(self, parts: Parts, backing: Backing, services: Services, workers: Workers) -> None:
        self._outbox = parts.outbox
        self._backing = backing
        self._ends = backing.ends
        self._services = services
        self._workers = workers
        self._instruments = parts.instruments

    def launch(self, lane: Lane, job: Job, booked: Booking, now: float) -> TaskRecord:
        """Start the task of a job."""
        record = TaskRecord(job, lane, now, booked, self._workers.scope(now + lane.platform.timeout.task))
        self._workers.start(RunningTask(record, self._services))
        self._backing.started(record)
        if self._instruments.task_started:
            entry = job.entry
            details = TaskStarted(time=now, event=entry.event, platform=lane.name, queued=now - entry.accepted)
            self._instruments.tell(self._instruments.task_started, details)
        if self._instruments.followers:
            entry = job.entry
            record.followed = self._instruments.follow(entry.event, lane.name, now - entry.accepted, now)
        for meter in self._instruments.meters:
            meter.task_began(lane.queue.name, now - job.entry.accepted)
        return record

    def has_room(self) -> bool:
        """Say whether a task may start, for all outcomes that wait."""
        return self._outbox.waiting + self._ends.waiting < self._outbox.buffer

    def full(self) -> Holdup | None:
        """Say who takes outcomes too slowly, for which no task may start; None: there is room. From any thread."""
        return None if self.has_room() else self._outbox.slowest(self._ends.waiting)

    def dry(self, lane: Lane) -> None:
        """Let the backing know of a lane that waits for a request that only others can book."""
        self._backing.dry(lane)

    def stranded(self, record: TaskRecord) -> None:
        """Let the backing know of a task that was parked on a platform that is paused."""
        self._backing.stranded(record)
