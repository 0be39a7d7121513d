"""One run, put together.

    intake ──> agenda ──> scheduler ──> task ──> results ──> outbox ──> sinks, consumer

Each of these is a room of its own. The session builds them, is what tasks ask (`TaskServices`), and holds the life of
a task, from its launch to its outcome. Where jobs come from and where their ends are kept differs: `PlainSession` reads
a source of events, `ServedSession` works for a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Generic, TypeVar

import trio

from scrapeengine.decide.agenda import Agenda, Job
from scrapeengine.decide.rate import Booking
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox, Sink
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Outcome
from scrapeengine.model.report import Statistics
from scrapeengine.model.urls import host_of
from scrapeengine.model.validators import Validator
from scrapeengine.observe.log import logger
from scrapeengine.run.lanes import Lanes
from scrapeengine.run.plan import Plan
from scrapeengine.run.results import Results
from scrapeengine.run.shutdown import JobSource, Shutdown
from scrapeengine.schedule import waiting as turns
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.clock import Anchor
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.tasks.running import LiveTask, TaskHttp
from scrapeengine.tasks.threads import Threads
from scrapeengine.tasks.workers import Workers

__all__ = ["Session"]

T = TypeVar("T")
R = TypeVar("R")


class Session(Generic[T]):
    """One run of an engine. Who makes one calls `furnish` before anything else."""

    def __init__(self, plan: Plan, sinks: Sequence[Sink[T]], gates: Gates) -> None:
        anchor = Anchor.drop()
        gates.attach(anchor)
        self.plan = plan
        self.gates = gates
        self.threads = Threads()
        self.alarms = Alarms()
        self.clients = plan.clients(self.alarms)
        self.agenda = Agenda(plan.settings.dedupe)
        self.counters = Counters(anchor, plan.declared, plan.default.name if plan.default else "")
        self.outbox: Outbox[T] = Outbox(sinks, plan.settings.buffer, self._taken)
        self.scheduler = Scheduler(self.agenda, plan.settings.event_limit, self.alarms, self.has_room)
        self.lanes = Lanes(plan, self.scheduler, gates)

    def furnish(self, results: Results, intake: JobSource) -> None:
        """Put in what takes jobs in, and what takes their outcomes."""
        self.results = results
        self.intake = intake
        self.shutdown = Shutdown(self.agenda, self.scheduler, self.alarms, intake, results, self.counters)
        self.shutdown.on_end = self.outbox.end

    # -- its life

    def open(self, nursery: trio.Nursery) -> None:
        """Begin, in a nursery that was opened for the run."""
        self.workers = Workers(nursery, ended=self._ended, broken=self._broken)
        self.scheduler.launch = self._launch
        nursery.start_soon(self.alarms.run, name="scrapeengine alarms")
        nursery.start_soon(self._read, name="scrapeengine intake")
        nursery.start_soon(self.outbox.collect, name="scrapeengine collector")

    async def close(self) -> None:
        """Leave nothing behind, once the nursery is done. Checkpoint; bounded in time, and not to be cancelled."""
        self.shutdown.abort("the run was left")
        self.shutdown.close()
        self.lanes.close(trio.current_time())
        self.gates.detach(Anchor.drop())
        for name in self.threads.at_work():
            logger().warning("a worker thread cannot be interrupted and runs on", function=name)
        with trio.move_on_after(1, shield=True):
            try:
                await self.clients.aclose()
            except Exception as error:  # noqa: BLE001 - the run is over; what leaves it was chosen before
                logger().error("the connections could not be closed", exc_info=error)

    async def _read(self) -> None:
        await self.intake.run()
        self.shutdown.check()

    def has_room(self) -> bool:
        """Say whether a task may start, for all outcomes that wait."""
        return self.outbox.has_room()

    def launched(self, lane: Lane) -> None:
        """Take note that a task has started, so that there may be room for more to wait."""

    def _taken(self) -> None:
        """Outcomes have left the outbox: there may be room for more."""
        if self.has_room():
            self.scheduler.room()
            self.intake.wake()

    # -- the life of a task

    def _launch(self, lane: Lane, job: Job, booked: Booking, now: float) -> LiveTask:
        task = LiveTask(job, lane, now, booked, self.workers.scope(now + lane.policy.timeout.task), self)
        self.workers.start(task)
        self.launched(lane)
        return task

    def _ended(self, task: LiveTask, outcome: Outcome[T]) -> None:
        self.results.finish(task, outcome)
        self.shutdown.check()

    def _broken(self, task: LiveTask) -> None:
        self.shutdown.abort("the run was cancelled")
        self.results.finish(task, Cancelled(reason="the run was cancelled", **task.times()))

    # -- what tasks ask for

    def http(self, task: LiveTask) -> TaskHttp:
        """Make the HTTP client of a task."""
        return self.clients.client(task)

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        return self.plan.draw()

    def wall(self, now: float) -> float:
        """Turn a trio time into Unix time."""
        return self.counters.anchor.wall(now)

    def follow(self, task: LiveTask, event: Event) -> bool:
        """Add an event to the run."""
        raise NotImplementedError

    async def remember(self, task: LiveTask, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        await self.clients.remember(task.platform, found)

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread."""
        return await self.threads.run(function, *args)

    def place(self, task: LiveTask, host: str) -> str | None:
        """Name the platform that serves a host; None if it is the task's own, or none does."""
        own = task.event.url
        if own is not None and task.policy.base_url is None and host_of(own) == host:
            return None
        name = self.plan.routes.host(host)
        return None if name == task.platform else name

    async def turn(self, task: LiveTask, at: str | None, after: float, *, ahead: bool) -> None:
        """Wait for the turn of a request; not when the run is stopping and the platform is closed or paused."""
        if at is None:
            self._stop_short(task, task.lane)
            await turns.turn(self.scheduler, task, after, ahead=ahead)
            return
        with self.visit(at) as there:
            self._stop_short(task, there)
            await turns.turn_abroad(self.scheduler, task, there, after, ahead=ahead)

    async def apart(self, task: LiveTask, until: trio.Event) -> None:
        """Park a task until an event is set."""
        await turns.apart(self.scheduler, task, until)

    def _stop_short(self, task: LiveTask, lane: Lane) -> None:
        if self.counters.stopped is not None and not lane.may_open(trio.current_time()):
            task.cancel(self.counters.stopped)

    @contextmanager
    def visit(self, at: str) -> Iterator[Lane]:
        """Return another platform's lane, for as long as the context lasts; a host's goes when nothing needs it."""
        lane = self.lanes.get(at, trio.current_time())
        lane.guests += 1
        try:
            yield lane
        finally:
            lane.guests -= 1
            self.lanes.retire(lane)

    async def rest(self, task: LiveTask, seconds: float) -> None:
        """Park a task before its scraper runs again; not when the run is stopping, which starts nothing any more."""
        if self.counters.stopped is not None:
            task.cancel(self.counters.stopped)
        await turns.rest(self.scheduler, task, seconds)

    def refused(self, task: LiveTask, at: str | None, sent: float, after: float | None) -> None:
        """Close a platform that asks not to be called."""
        with nullcontext(task.lane) if at is None else self.visit(at) as lane:
            lane.gate.penalty.refused(sent=sent, now=trio.current_time(), after=after)
            self.scheduler.refresh(lane)
            self.closed(lane)
            self.scheduler.settle()

    def closed(self, lane: Lane) -> None:
        """Take note that a platform has closed, or closed for longer: nobody waits there for too long."""
        lane.dismiss_the_seated()
        self._turn_away(lane)

    def slow_down(self, task: LiveTask, at: str | None, seconds: float) -> None:
        """Keep to what a platform's robots.txt asks for, if that is slower than its rate."""
        with nullcontext(task.lane) if at is None else self.visit(at) as lane:
            lane.gate.slow_down(seconds, lane.policy.rate, trio.current_time())

    def _turn_away(self, lane: Lane) -> None:
        """Let what would wait for too long fail at once."""
        if not lane.patient(trio.current_time()):
            self.scheduler.send_away(lane.returning)
            self.scheduler.send_away(lane.foreign_requests)
            for job in lane.queue.waiting_jobs():
                self.results.turn_away(job, lane)

    # -- what its owner asks for

    def retune(self) -> None:
        """Let the run be as the plan has it now."""
        self.outbox.buffer = self.plan.settings.buffer
        self.lanes.retune(trio.current_time())
        for lane in list(self.scheduler.lanes.values()):
            self._turn_away(lane)
        self._taken()
        self.scheduler.settle()

    def statistics(self) -> Statistics:
        """Say what the run is doing."""
        platforms = self.lanes.statistics(trio.current_time())
        return Statistics(
            event_limit=self.plan.settings.event_limit,
            in_progress=self.scheduler.events.borrowed_tokens,
            live=self.agenda.live,
            running=sum(each.running for each in platforms.values()),
            parked=sum(each.parked for each in platforms.values()),
            waiting=sum(each.waiting for each in platforms.values()),
            buffered=self.outbox.waiting,
            platforms=platforms,
        )
