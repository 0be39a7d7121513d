"""A run that works for a store.

store ──claims──> agenda ──> scheduler ──> task ──> results ──> writer ──> outbox ──> sinks, consumer
  ^               (leases)                                        │                    │
  └──────────────── endings, jobs given back, acknowledgements ───┴────────────────────┘

The agenda holds what is in hand, and all that is decided about who runs now is decided as in any other run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.decide.rate import Booking
from scrapeengine.decide.records import event_of
from scrapeengine.deliver.outbox import Sink
from scrapeengine.errors import AgendaFull, StoreError
from scrapeengine.model.event import Event
from scrapeengine.model.job import Claimed, Completion, Delivery, JobStatus
from scrapeengine.model.outcome import Failure
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.observe.log import logger
from scrapeengine.run.plan import Plan
from scrapeengine.run.session import Session
from scrapeengine.schedule.lane import Lane
from scrapeengine.served.claims import Claims, Round
from scrapeengine.served.enqueueing import jobs_of
from scrapeengine.served.leases import Held, Leases
from scrapeengine.served.redelivery import Redelivery
from scrapeengine.served.results import UNREADABLE_AGAIN, StoredResults
from scrapeengine.served.sharing import Sharing
from scrapeengine.served.validators import StoreValidators, hashed
from scrapeengine.served.writer import EndedJob, Writer
from scrapeengine.tasks.running import LiveTask

__all__ = ["ServedSession"]

T = TypeVar("T")

_LAST_CALL = 2.0
"""Seconds that the store has at the end of a run for what still waits for it."""
_PAUSE = 0.1
"""Seconds between two attempts at a store that is down."""
_STAND_OFF = 1.0
"""Seconds for which a job is left alone whose event still runs on its platform here, by an earlier lease."""


class ServedSession(Session[T], Generic[T]):
    """One run of an engine that works for a store, for ever or for one round."""

    def __init__(
        self, plan: Plan, store: Store, sinks: Sequence[Sink[T]], *, lease: float, only: Round | None = None
    ) -> None:
        super().__init__(plan, sinks, plan.shared_gates if store.shared else plan.gates)
        self._store = store
        self._lease = lease
        owner = uuid.uuid4().hex
        self._writer = Writer(store, self._accepted, self._refused, self._stored_all)
        self._leases = Leases(store, lease, self._lose, self._writer.tickets)
        self._claims = Claims(
            store,
            owner,
            lease,
            wanted=self._wanted,
            room=self._room,
            accept=self._accept,
            is_busy=self._is_busy,
            only=only,
        )
        self._stored = StoredResults(
            self.scheduler,
            self.lanes,
            self.counters,
            self.outbox,
            leases=self._leases,
            writer=self._writer,
            draw=plan.draw,
            deliver_within=lease if sinks else None,
            early=0.0 if only is None else only.early,
            room=self._claims.room,
        )
        self._sharing: Sharing | None = None
        if store.shared:
            self.lanes.share = 0
            self._sharing = Sharing(
                store, owner, lease, self.scheduler, ready=lambda: self._claims.ready, closed=super().closed
            )
            self.scheduler.on_dry = self._sharing.need
        if not plan.own_validators:
            self.clients.keep_validators_in(StoreValidators(store))
        self.outbox.flushed = self._writer.delivered
        self._services = trio.CancelScope()
        self._opens: dict[str, float] = {}
        """When closed platforms are looked at again."""
        self._gives_up_at = math.inf
        """When the run ends, whatever the store has been told."""
        self.furnish(self._stored, self._claims)
        self.shutdown.settled = self._is_settled
        self.shutdown.on_quiet = self._give_up_soon
        self.shutdown.on_end = self._end
        self._redelivery: Redelivery | None = None
        if sinks:
            self._redelivery = Redelivery(
                store,
                lease,
                self.outbox,
                self._writer,
                self.counters,
                has_ended=self.shutdown.ended.is_set,
                caught_up=self._stored_all,
            )

    # -- its life

    def open(self, nursery: trio.Nursery) -> None:
        """Begin, in a nursery that was opened for the run."""
        super().open(nursery)
        nursery.start_soon(self._serve, name="scrapeengine store")

    async def close(self) -> None:
        """Give back what is in hand, and leave nothing behind. Checkpoint; bounded in time, and not to be cancelled."""
        self.shutdown.abort("the run was left")
        with trio.move_on_after(_LAST_CALL, shield=True):
            stored = await self._writer.flush()
            while not stored:
                await trio.sleep(_PAUSE)
                stored = await self._writer.flush()
            try:
                if self._sharing is not None:
                    await self._sharing.give_back()
            except StoreError as error:
                logger().warning("the store could not be told that the run has ended", exc_info=error)
        # Jobs whose ends the store does not know are run again once their leases have ended.
        self.counters.lost += self._writer.drop()
        await super().close()

    async def _serve(self) -> None:
        with self._services:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._writer.run)
                nursery.start_soon(self._leases.renew)
                nursery.start_soon(self._leases.watch)
                if self._sharing is not None:
                    nursery.start_soon(self._sharing.run)
                if self._redelivery is not None:
                    nursery.start_soon(self._redelivery.run)

    def _end(self) -> None:
        self._services.cancel()
        self.outbox.end()

    def _is_settled(self) -> bool:
        """Say whether the store knows all, or has had its time, and sinks have been given what there was for them."""
        if trio.current_time() >= self._gives_up_at:
            return True
        return not (self._writer.behind or (self._is_behind() and self.counters.stopped is None))

    def _is_behind(self) -> bool:
        """Say whether there may be outcomes of earlier runs that sinks have not had."""
        return self._redelivery is not None and self._redelivery.behind

    def _give_up_soon(self) -> None:
        """Take note that no task runs any more, and that the run was stopped: the store has its last call."""
        self._gives_up_at = trio.current_time() + _LAST_CALL
        self.alarms.at(self._gives_up_at, self.shutdown.check)

    def _stored_all(self) -> None:
        self._claims.wake()
        self.shutdown.check()

    def _taken(self) -> None:
        if self._redelivery is not None:
            self._redelivery.wake()
        super()._taken()

    def has_room(self) -> bool:
        """Say whether a task may start, for all outcomes that wait here and for the store."""
        return self.outbox.waiting + self._writer.waiting < self.outbox.buffer

    def retune(self) -> None:
        """Let the run be as the plan has it now. What waits for a platform that is paused is others' to have."""
        super().retune()
        for lane in list(self.scheduler.lanes.values()):
            if lane.policy.limit == 0:
                for job in lane.queue.waiting_jobs():
                    self._stored.give_up(job)
        self.scheduler.settle()
        self._claims.wake()

    # -- jobs

    def _wanted(self, name: str) -> int:
        """Say for how many more jobs the lane of a platform has room."""
        plan, now = self.plan, trio.current_time()
        if name not in plan.platforms and plan.default is None:
            return 0
        lane, limit = self.scheduler.lanes.get(name), plan.policy(name).limit
        until = self.gates.closed_until(name) if lane is None else lane.gate.penalty.until
        if until > now:
            self._look_again(name, until)
            return 0
        if limit == 0 or (lane is not None and lane.at_bound):
            return 0
        ahead = max(1, limit // 2)
        if lane is None:
            return limit + ahead
        lacking = max(0, lane.limit.free) + ahead - lane.queue.waiting
        # A few at a time would be many calls.
        return 0 if 2 * lacking < ahead else lacking

    def _room(self) -> int:
        """Say how many more jobs may wait in all lanes together."""
        settings = self.plan.settings
        return min(settings.lookahead, settings.max_pending) - self.agenda.waiting_events

    def _look_again(self, name: str, when: float) -> None:
        """Claim for a closed platform once it has opened."""
        if self._opens.get(name) != when:
            self._opens[name] = when
            self.alarms.at(when, partial(self._opened, name))

    def _opened(self, name: str) -> None:
        self._opens.pop(name, None)
        self._claims.room(name)

    def _accept(self, claimed: Claimed, asked: float) -> None:
        """Take a job that was claimed."""
        now = trio.current_time()
        ticket = claimed.ticket
        try:
            event = event_of(ticket.id, claimed.priority, claimed.payload)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self._refuse(claimed, error)
            return
        live = self.agenda.live
        lane = self.lanes.get(ticket.platform, now)
        job = self.agenda.join(event, lane.queue, now=now)
        if job is None:
            self._writer.give_back(ticket, now + _STAND_OFF)
            return
        self.counters.events += self.agenda.live - live
        self.counters.tasks += 1
        self._leases.take(claimed, job, asked)
        if self.counters.stopped is not None:
            self._stored.cancel(job, self.counters.stopped)
        elif not lane.patient(now):
            self._stored.turn_away(job, lane)
        else:
            self.scheduler.kick(lane)
            if self._sharing is not None:
                self._sharing.need(lane)
        self.scheduler.settle()

    def _refuse(self, claimed: Claimed, error: Exception) -> None:
        """End a job that nobody can work on, for nobody can read it."""
        ticket = claimed.ticket
        failure = Failure(event=Event(ticket.id or "(no id)"), platform=ticket.platform, error=error)
        said = f"its payload cannot be read: {error}"
        completion = Completion(ticket=ticket, status=JobStatus.FAILED, error=said, again=UNREADABLE_AGAIN)
        self.counters.events += 1
        self.counters.tasks += 1
        self._writer.end(EndedJob(failure, completion))

    def launched(self, lane: Lane) -> None:
        """Claim more if the lane has room."""
        self._claims.room(lane.name)

    def _launch(self, lane: Lane, job: Job, booked: Booking, now: float) -> LiveTask:
        task = super()._launch(lane, job, booked, now)
        self._leases.of(task.job).task = task
        return task

    def _is_busy(self) -> bool:
        return bool(len(self._leases) or self._writer.behind or self._is_behind())

    def _lose(self, held: Held) -> None:
        self._stored.lose(held)
        self.shutdown.check()

    # -- what has ended

    def _accepted(self, ended: EndedJob) -> None:
        """Send an outcome on its way, which the store has accepted."""
        if ended.completion.outcome is not None:
            self._writer.expect(ended.outcome, Delivery(*ended.completion.ticket))
        self._stored.deliver(ended.outcome)
        self._moved_on(ended)

    def _refused(self, ended: EndedJob) -> None:
        self.counters.lost += 1
        self._moved_on(ended)
        self._taken()

    def _moved_on(self, ended: EndedJob) -> None:
        self._claims.room(ended.completion.ticket.platform)
        self.shutdown.check()

    # -- what tasks ask for

    def follow(self, task: LiveTask, event: Event) -> bool:
        """Have an event stored with the end of the task."""
        if not isinstance(event, Event):
            raise TypeError(f"task.follow takes an Event, got {told(event)}; write task.follow(Event(url='https://…'))")
        jobs = jobs_of(event, self.plan.routes)
        follow_ups, most = self._leases.of(task.job).follow_ups, self.plan.settings.max_pending
        if event.id in follow_ups:
            return False
        if len(follow_ups) >= most:
            raise AgendaFull(f"one task has followed {most} events; follow fewer, or give the engine more max_pending")
        follow_ups[event.id] = jobs
        return True

    def closed(self, lane: Lane) -> None:
        """Take note that a platform has closed, and let all engines on the store know."""
        super().closed(lane)
        if self._sharing is not None:
            self._sharing.refused(lane)

    async def remember(self, task: LiveTask, found: Mapping[str, Validator | None]) -> None:
        """Have validators stored with the end of the task; those of the program's own are its own affair."""
        if self.plan.own_validators:
            await super().remember(task, found)
        else:
            self._leases.of(task.job).validators = {hashed(url): validator for url, validator in found.items()}
