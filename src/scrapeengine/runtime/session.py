"""One run: what it accepts, what becomes of it, and how it ends.

    source ──> intake ──> accept ──> agenda ──> floor ──> task ──> outbox ──> sinks, consumer
                            ^                               │
                            └────────── follow ─────────────┘

The session holds these together. All that it does itself is synchronous, but for the life of a task (`_perform`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs
import trio

from scrapeengine.decide.agenda import Agenda, Job, JobState
from scrapeengine.decide.rate import Booking
from scrapeengine.decide.routing import Routes
from scrapeengine.errors import AgendaFull
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Failure, Outcome
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Statistics
from scrapeengine.model.task import Http
from scrapeengine.observe.log import logger
from scrapeengine.runtime import turns
from scrapeengine.runtime.alarms import Alarms
from scrapeengine.runtime.capture import fatal_part
from scrapeengine.runtime.clock import Anchor
from scrapeengine.runtime.floor import Floor
from scrapeengine.runtime.gates import Gates
from scrapeengine.runtime.intake import Events, Intake
from scrapeengine.runtime.lane import Lane, Seat
from scrapeengine.runtime.outbox import Outbox, Sink
from scrapeengine.runtime.settings import Settings
from scrapeengine.runtime.tally import Tally
from scrapeengine.runtime.task import LiveTask
from scrapeengine.runtime.threads import Threads

__all__ = ["Clients", "Plan", "Session"]

T = TypeVar("T")
R = TypeVar("R")

_LAST_CALL = 0.9
"""Seconds for cancelled tasks to end, before `stop` returns without them."""


class Clients(Protocol):
    """Makes the HTTP clients of tasks, on one connection pool for the run."""

    def client(self, task: LiveTask) -> Http:
        """Make the client of a task."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@attrs.define(eq=False)
class Plan:
    """What an engine hands to each of its runs, and keeps between them."""

    settings: Settings
    platforms: dict[str, Platform[Any]]
    """The declared platforms, and the hosts that have been tuned, by name."""
    default: Platform[Any] | None
    routes: Routes
    gates: Gates
    declared: frozenset[str]
    draw: Callable[[], float]
    """Returns a random number from 0 to 1."""
    clients: Callable[[], Clients]

    def policy(self, name: str) -> Platform[Any]:
        """Return the policy of a platform; a host's is the default's, unless it was tuned itself."""
        policy = self.platforms.get(name, self.default)
        assert policy is not None
        return policy


class Session(Generic[T]):
    """One run of an engine."""

    def __init__(self, plan: Plan, events: Events, sinks: Sequence[Sink[T]]) -> None:
        self.anchor = Anchor.drop()
        self.nursery: trio.Nursery | None = None
        self.stopping = False
        self.ended = trio.Event()
        """Set when nothing is left to do."""
        self.quiet = trio.Event()
        """Set when the run was stopped and no task runs, or those that do were given up."""
        self._plan = plan
        self._clients = plan.clients()
        self._threads = Threads()
        self._alarms = Alarms()
        self._agenda = Agenda(plan.settings.dedupe)
        self._floor = Floor(self._agenda, plan.settings.event_limit, self._alarms, self._has_room)
        self.outbox: Outbox[T] = Outbox(sinks, self._taken)
        self.tally = Tally(self.anchor, plan.declared, plan.default.name if plan.default else "")
        self.intake = Intake(events, self.accept, self._reads_on)
        self._collects = bool(sinks)
        self._cut_at = math.inf
        plan.gates.attach(self.anchor)

    # -- life

    def open(self, nursery: trio.Nursery) -> None:
        """Begin, in a nursery that was opened for the run."""
        self.nursery = nursery
        self._floor.launch = self._launch
        nursery.start_soon(self._alarms.run, name="scrapeengine alarms")
        nursery.start_soon(self._read, name="scrapeengine intake")
        if self._collects:
            nursery.start_soon(self.outbox.collect, name="scrapeengine collector")

    async def close(self) -> None:
        """Leave nothing behind, once the nursery is done. Checkpoint; bounded in time, and not to be cancelled."""
        self.abort("the run was left")
        now = trio.current_time()
        if self.tally.ended is None:
            self.tally.ended = now
        for lane in self._floor.lanes.values():
            self._plan.gates.keep(lane.name, lane.gate, now)
        self._plan.gates.detach(Anchor.drop())
        for name in self._threads.at_work():
            logger().warning("a worker thread cannot be interrupted and runs on", function=name)
        with trio.move_on_after(1, shield=True):
            await self._clients.aclose()

    async def _read(self) -> None:
        await self.intake.run()
        self._check_end()

    def _check_end(self) -> None:
        if self.stopping and not any(lane.seats for lane in self._floor.lanes.values()):
            self.quiet.set()
        if self.intake.done and not self._agenda.live and not self.ended.is_set():
            self.tally.ended = trio.current_time()
            self.ended.set()
            self.outbox.end()
            self._alarms.end()

    # -- events

    def accept(self, event: Event, *, followed: bool = False) -> bool:
        """Take an event into the run; false if it is a duplicate."""
        if self._agenda.knows(event.id):
            self.tally.duplicates += 1
            return False
        route = self._plan.routes.of(event)
        now = trio.current_time()
        lanes = [self._lane(name, now) for name in route.known]
        entry = self._agenda.accept(event, [lane.queue for lane in lanes], now=now, followed=followed)
        self.tally.events += 1
        self.tally.tasks += len(route.known) + len(route.unknown)
        for name, error in route.unknown:
            self._deliver(Failure(event=event, platform=name, error=error))
        for job, lane in zip(entry.jobs, lanes, strict=True):
            if self.stopping:
                self._abandon(job, Cancelled, reason=self.tally.stopped)
            elif lane.patient(now):
                self._floor.kick(lane)
            else:
                self._abandon(job, Failure, error=turns.impatience(lane, now))
        self._floor.settle()
        return True

    def follow(self, event: Event) -> bool:
        """Take an event that a task has found."""
        if not isinstance(event, Event):
            raise TypeError(f"task.follow takes an Event, got {event!r}; write task.follow(Event(url='https://…'))")
        if self._agenda.knows(event.id):
            self.tally.duplicates += 1
            return False
        route = self._plan.routes.of(event)
        if route.unknown:
            raise route.unknown[0][1]
        limit = self._plan.settings.max_pending
        if self._agenda.waiting_events >= limit:
            raise AgendaFull(f"{limit} events wait already; follow fewer, or give the engine a larger max_pending")
        return self.accept(event, followed=True)

    def _reads_on(self) -> bool:
        settings = self._plan.settings
        return (
            self._agenda.waiting_from_source < settings.lookahead
            and self._agenda.waiting_events < settings.max_pending
            and self._has_room()
        )

    def _lane(self, name: str, now: float) -> Lane:
        lane = self._floor.lanes.get(name)
        if lane is None:
            policy = self._plan.policy(name)
            lane = Lane.of(name, policy, self._plan.gates.take(name, policy.rate, now))
            self._floor.lanes[name] = lane
            self._floor.refresh(lane)
        return lane

    def _retire(self, lane: Lane) -> None:
        """Let the lane of a host go when it is idle; its gate is kept for as long as it matters."""
        if lane.idle and lane.name not in self._plan.declared:
            self._floor.drop(lane)
            self._plan.gates.keep(lane.name, lane.gate, trio.current_time())

    # -- tasks

    def _launch(self, lane: Lane, job: Job, booked: Booking) -> Seat:
        assert self.nursery is not None
        now = trio.current_time()
        scope = trio.CancelScope(deadline=now + lane.policy.timeout.task)
        task = LiveTask(job, lane, now, booked, scope, self)
        self.nursery.start_soon(self._perform, task)
        self._wake_intake()
        return task

    async def _perform(self, task: LiveTask) -> None:
        """Run a task to its end, whatever that is."""
        try:
            outcome = await task.run()
        except BaseException as error:
            self.abort("the run was cancelled")
            self._finish(task, Cancelled(reason="the run was cancelled", **task.times()))
            fatal = fatal_part(error)
            if fatal is error:
                raise
            raise fatal from None
        self._finish(task, outcome)

    def _finish(self, task: LiveTask, outcome: Outcome[Any]) -> None:
        self._floor.end(task)
        self._deliver(outcome)
        self._floor.settle()
        self._retire(task.lane)
        self._check_end()

    def _abandon(self, job: Job, kind: type[Cancelled | Failure], **how: Any) -> None:
        """End a job that was never started."""
        entry = job.entry
        self._floor.abandon(job)
        queued = trio.current_time() - entry.accepted
        self._deliver(kind(event=entry.event, platform=job.queue.name, queued=queued, **how))
        self._retire(self._floor.lanes[job.queue.name])

    def _deliver(self, outcome: Outcome[Any]) -> None:
        self.tally.add(outcome)
        if not self.outbox.put(outcome):
            self.tally.unread += 1

    def _has_room(self) -> bool:
        return self.outbox.waiting < self._plan.settings.buffer

    def _taken(self) -> None:
        """An outcome has left the outbox."""
        if self._has_room():
            self._floor.room()
            self._wake_intake()

    def _wake_intake(self) -> None:
        """Let the source be read on; not for each place that is free, but for an eighth of the lookahead at once."""
        lookahead = self._plan.settings.lookahead
        if self._agenda.waiting_from_source <= lookahead - max(1, lookahead // 8):
            self.intake.wake()

    # -- what tasks ask for (`TaskServices`)

    def http(self, task: LiveTask) -> Http:
        """Make the HTTP client of a task."""
        return self._clients.client(task)

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        return self._plan.draw()

    def wall(self, now: float) -> float:
        """Turn a trio time into Unix time."""
        return self.anchor.wall(now)

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread."""
        return await self._threads.run(function, *args)

    async def turn(self, seat: Seat, after: float) -> None:
        """Wait for the turn of a request."""
        await turns.take_turn(self._floor, seat, after)

    async def rest(self, seat: Seat, seconds: float) -> None:
        """Park a task before its scraper runs again."""
        await turns.rest(self._floor, seat, seconds)

    def refused(self, seat: Seat, sent: float, after: float | None) -> None:
        """Close a platform that asks not to be called; what would wait for too long fails at once."""
        lane, now = seat.lane, trio.current_time()
        lane.gate.penalty.refused(sent=sent, now=now, after=after)
        self._floor.refresh(lane)
        if not lane.patient(now):
            self._floor.send_away(lane.returning)
            for job in lane.queue.waiting_jobs():
                self._abandon(job, Failure, error=turns.impatience(lane, now))
        self._floor.settle()

    # -- the end, before its time

    def begin_stop(self, grace: float, reason: str) -> None:
        """Start nothing more, cancel what waits and what is parked, and after `grace` seconds the rest."""
        now = trio.current_time()
        if not self.stopping:
            self._halt(reason)
            for task in self._tasks():
                if task.parked_since is not None:
                    task.cancel(reason)
        if now + grace < self._cut_at:
            self._cut_at = now + grace
            self._alarms.at(self._cut_at, self._cut)
        self._check_end()

    def abort(self, reason: str) -> None:
        """Start nothing more; whatever runs is being cancelled from outside."""
        if not self.ended.is_set():
            self._floor.abort()
            self._halt(reason)

    def leave(self) -> None:
        """Take note that the consumer has left: it gets no more outcomes."""
        self.tally.unread += self.outbox.leave()

    def _halt(self, reason: str) -> None:
        if self.stopping:
            return
        self.stopping = True
        self.tally.stopped = reason
        self._floor.launch = None
        self.intake.stop()
        waiting = [job for entry in self._agenda.entries() for job in entry.jobs if job.state is JobState.WAITING]
        for job in waiting:
            self._abandon(job, Cancelled, reason=reason)

    def _cut(self) -> None:
        """Cancel what still runs, and give those that shield themselves a last call."""
        for task in self._tasks():
            task.cancel(self.tally.stopped or "")
        self._alarms.at(trio.current_time() + _LAST_CALL, self._give_up)

    def _give_up(self) -> None:
        for task in self._tasks():
            logger().warning(
                "a scraper shields itself from cancellation and runs on", id=task.event.id, platform=task.platform
            )
        self.quiet.set()

    def _tasks(self) -> list[Any]:
        return [seat for lane in self._floor.lanes.values() for seat in lane.seats]

    # -- from outside

    def retune(self) -> None:
        """Let the lanes and the event limit be as they are now in the plan."""
        now = trio.current_time()
        for name, lane in self._floor.lanes.items():
            policy = self._plan.policy(name)
            if policy is lane.policy:
                continue
            if policy.rate != lane.policy.rate:
                lane.gate.meter.change(policy.rate, now)
            lane.slots.total_tokens = policy.limit
            lane.policy = policy
            self._floor.refresh(lane)
        self._floor.events.total_tokens = self._plan.settings.event_limit
        self._taken()
        self._floor.settle()

    def statistics(self) -> Statistics:
        """Say what the run is doing."""
        now = trio.current_time()
        platforms = {name: lane.statistics(now) for name, lane in self._floor.lanes.items() if not lane.idle}
        return Statistics(
            event_limit=self._plan.settings.event_limit,
            in_progress=self._floor.events.borrowed_tokens,
            live=self._agenda.live,
            running=sum(each.running for each in platforms.values()),
            parked=sum(each.parked for each in platforms.values()),
            waiting=sum(each.waiting for each in platforms.values()),
            buffered=self.outbox.waiting,
            platforms=platforms,
        )
