"""A run that works for a store.

store ──claims──> desk ──> agenda ──> scheduler ──> task ──> ends ──> writer ──> outbox ──> sinks, consumer
  ^              (leases)                                               │                      │
  └──────────────── endings, jobs given back, acknowledgements ─────────┴──────────────────────┘

The agenda holds what is in hand, and all that is decided about who runs now is decided as in any other run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping

import attrs
import trio

from scrapeengine.errors import AgendaFull, StoreError
from scrapeengine.model.event import Event
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.run.admission import count_duplicate
from scrapeengine.run.backing import Parts, RunHooks
from scrapeengine.run.plan import Plan
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.served.claims import Claims, Finish, ReadyPlatforms, Round
from scrapeengine.served.closings import Closings
from scrapeengine.served.completions import Completions
from scrapeengine.served.deliveries import Deliveries
from scrapeengine.served.desk import LaneDesk
from scrapeengine.served.ends import StoredEnds
from scrapeengine.served.enqueueing import jobs_of
from scrapeengine.served.leases import Leaseholder, Leases
from scrapeengine.served.others import Others
from scrapeengine.served.redelivery import Redelivery
from scrapeengine.served.sharing import Sharing
from scrapeengine.served.trouble import Trouble
from scrapeengine.served.until import Until, WhenEmpty, WhenIdle, refuse_recurring
from scrapeengine.served.validators import StoreValidators, hashed
from scrapeengine.served.writer import Writer
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["StoreBacking", "StoreWork"]

_LAST_CALL = 2.0
"""Seconds that the store has at the end of a run for what still waits for it."""
_PAUSE = 0.1
"""Seconds between two attempts at a store that is down."""


@uninterrupted
class StoreBacking:
    """The store of a run, for ever or for one round. Implements `run.backing.Backing`.

    Size: 20 attributes, and the methods of its protocol. They are the rooms of a served run, put together here and
    nowhere else.
    """

    def __init__(self, parts: Parts, hooks: RunHooks, work: StoreWork) -> None:
        """Build it, inside out."""
        if work.lease is not None:
            parts.plan.tune({"lease": work.lease})
        store, only = work.store, work.only
        self._trouble = trouble = work.trouble
        self._store, self._until = store, work.until
        self._holder = holder = Leaseholder(store, uuid.uuid4().hex, parts.plan.settings.lease, trouble)
        self._parts = parts
        self._hooks = hooks
        self._ready = ready = ReadyPlatforms(everything=only is not None or work.until is not None)
        self._writer = writer = Writer(store, trouble)
        self._leases = leases = Leases(holder, writer)
        self._deliveries = deliveries = Deliveries(holder, parts.collector.names, parts.outbox, wanted=work.kept)
        self.receipts = deliveries if work.kept else None
        self._redelivery = Redelivery(parts.outbox, deliveries, parts.counters, trouble, shared=store.shared)
        completions = Completions(
            parts.plan.environment.encode,
            parts.plan.environment.random,
            deliveries,
            0.0 if only is None else only.early,
        )
        self._starts = store.starts
        self.ends = StoredEnds(
            parts,
            hooks,
            leases=leases,
            writer=writer,
            ready=ready,
            completions=completions,
            deliveries=deliveries,
            starts=store.starts,
        )
        self._closings = Closings(holder, parts, hooks, self.ends, ready)
        others, self._sharing = None, None
        if store.shared:
            others = Others(holder, parts.plan.serves)
            self._sharing = Sharing(holder, parts.lanes, ready.names, self._closings, others)
        desk = LaneDesk(
            parts,
            self.ends,
            leases=leases,
            writer=writer,
            completions=completions,
            closings=self._closings,
            sharing=self._sharing,
            redelivery=self._redelivery,
        )
        finish: Finish | None = None if only is None and work.until is None else WhenIdle()
        if work.until == "empty":
            plan = parts.plan
            finish = WhenEmpty(store, plan.serves, lambda name: plan.platform(name).limit == 0)
        self.jobs = Claims(holder, desk, ready, parts.alarms, only=only, finish=finish, others=others)
        self._scope = trio.CancelScope()
        self._delivering = trio.CancelScope()
        self._gives_up_at = math.inf
        """When the run ends, whatever the store has been told."""
        if parts.plan.environment.validators is None:
            parts.clients.keep_validators_in(StoreValidators(store, trouble))

    # -- its life

    @property
    def settled(self) -> bool:
        """Whether the store knows all, or has had its time, and what nobody has had was sent on its way."""
        if trio.current_time() >= self._gives_up_at:
            return True
        # A run that was stopped waits for no outcomes of earlier ones: they are delivered another time.
        behind = self._redelivery.behind and self._parts.scheduler.stopped is None
        return not (self._writer.behind or behind)

    async def pending(self) -> Mapping[str, int] | None:
        """Count the jobs that are ready, and those that are delayed where the run waits for them. Checkpoint.

        None of a platform that is paused in the store, where the run leaves that aside.
        """
        counted, serves = await self._store.stats(), self._parts.plan.serves
        waits, leaves = self._until == "empty", self._until == "idle"
        return {
            name: 0 if leaves and each.paused else each.ready + waits * each.delayed
            for name, each in counted.items()
            if serves(name)
        }

    def open(self, nursery: trio.Nursery) -> None:
        """Start what works beside the claims."""
        nursery.start_soon(self._serve, name="scrapeengine store")
        nursery.start_soon(self._deliver, name="scrapeengine deliveries")

    async def close(self) -> None:
        """Give back what is in hand. Checkpoint; bounded in time, and not to be cancelled."""
        # Shielded: a run that is being cancelled gives back what it has. Bounded: the store may be down (law 9).
        with trio.move_on_after(_LAST_CALL, shield=True):
            stored = await self._flush()
            while not stored:
                await trio.sleep(_PAUSE)
                stored = await self._flush()
            try:
                await self._deliveries.give_back()
                if self._sharing is not None:
                    await self._sharing.give_back()
            except StoreError as error:
                self._trouble.say("the store could not be told that the run has ended", error)
        # Jobs whose ends the store does not know are run again once their leases have ended.
        self._parts.counters.lost += self._writer.drop()

    async def _flush(self) -> bool:
        return await self._writer.flush(self.ends) and await self._deliveries.flush()

    def quiet(self) -> None:
        """Give the store its last call: the run was stopped, and no task of it runs any more."""
        self._gives_up_at = trio.current_time() + _LAST_CALL
        self._parts.alarms.at(self._gives_up_at, self._hooks.check)

    def ended(self) -> None:
        """Stop what works beside the claims."""
        self._redelivery.stop()
        self._scope.cancel()

    def left(self) -> None:
        """Stop what works beside the deliveries: none is on its way any more."""
        self._delivering.cancel()

    async def _serve(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._writer.run, self.ends)
                nursery.start_soon(self._leases.renew, self.ends)
                nursery.start_soon(self._leases.watch, self.ends)
                nursery.start_soon(self._closings.run)
                if self._sharing is not None:
                    nursery.start_soon(self._sharing.run)
                nursery.start_soon(self._redelivery.run, self.ends)

    async def _deliver(self) -> None:
        """Tell the store of deliveries until the last one, which may be long after the last task has ended."""
        with self._delivering:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliveries.run)
                nursery.start_soon(self._deliveries.renew)

    # -- what tasks ask for

    def follow(self, record: TaskRecord, event: Event) -> bool:
        """Have an event stored with the end of the task."""
        if not isinstance(event, Event):
            raise TypeError(f"task.follow takes an Event, got {told(event)}; write task.follow(Event(url='https://…'))")
        jobs = jobs_of(event, self._parts.plan.routes)
        follow_ups, most = self._leases.of(record.job).follow_ups, self._parts.plan.settings.max_pending
        if event.id not in follow_ups and len(follow_ups) >= most:
            raise AgendaFull(f"one task has followed {most} events; follow fewer, or give the engine more max_pending")
        known = follow_ups.setdefault(event.id, {})
        fresh = {job.platform: job for job in jobs if job.platform not in known}
        for job in jobs:
            if job.platform in known:
                count_duplicate(self._parts.counters, job.id, job.platform)
        known |= fresh
        return bool(fresh)

    async def remember(self, record: TaskRecord, found: Mapping[str, Validator | None]) -> None:
        """Have validators stored with the end of the task; those of the program's own are its own affair."""
        if self._parts.plan.environment.validators is not None:
            await self._parts.clients.remember(record.lane.queue.name, found)
        else:
            self._leases.of(record.job).validators = {hashed(url): validator for url, validator in found.items()}

    # -- what the run reports

    def started(self, record: TaskRecord) -> None:
        """Note whose scraper runs from here on, and claim more if the lane has room."""
        held = self._leases.of(record.job)
        held.task = record
        if self._starts is not None:
            self._starts.begin(held.ticket.token)
        self._ready.room(record.lane.name)

    def dry(self, lane: Lane) -> None:
        """Ask for requests soon: the lane waits for one that only others can book."""
        del lane
        if self._sharing is not None:
            self._sharing.need()

    def stranded(self, record: TaskRecord) -> None:
        """Give the job of a parked task back if the store has paused its platform; else see whether the run may end."""
        if record.lane.limit.stopped:
            record.cancel("the platform is paused")
        else:
            self._ready.room(record.lane.name)

    def closed(self, lane: Lane) -> None:
        """Let all engines on the store know that a platform has closed."""
        if self._sharing is not None:
            self._sharing.refused(lane)
        self._ready.room(lane.name)

    def closed_by_hand(self, platform: str, seconds: float) -> None:
        """Let all on the store know that the program has closed a platform."""
        self._closings.close(platform, seconds)

    def reopened_by_hand(self, platform: str) -> None:
        """Let all on the store know that the program has ended a penalty."""
        if self._sharing is not None:
            self._sharing.reopened(platform)
        self._closings.reopen(platform)

    def unwanted(self) -> None:
        """Keep nothing more: nobody is to have it."""
        self._deliveries.stop_keeping()
        self._redelivery.stop()
        self._ready.wake()
        self._hooks.check()

    def wake(self) -> None:
        """Claim again, and look for outcomes of earlier runs: there is room."""
        self._redelivery.wake()
        self.jobs.wake()

    def retuned(self) -> None:
        """Give back what waits for a platform that is paused: it is others' to have. And ask by the lease of now."""
        lease = self._parts.plan.settings.lease
        if lease != self._holder.lease:
            self._holder.change(lease)
            self._leases.renew_now()
            self._deliveries.renew_now()
        for lane in list(self._parts.scheduler.lanes.values()):
            if lane.limit.own == 0:
                for job in lane.queue.waiting_jobs():
                    self.ends.give_up(job)
        self._parts.scheduler.settle()
        self._ready.wake()


@attrs.frozen(eq=False, repr=False)
class StoreWork:
    """A store to work for. Implements `run.backing.Work`."""

    store: Store
    lease: float | None
    """The seconds for which jobs are claimed, which the engine keeps to from then on; None: those that it has."""
    kept: bool
    """Whether outcomes are kept until they are delivered: there are sinks, or a consumer."""
    trouble: Trouble
    """Says what the store could not be asked."""
    only: Round | None = None
    """The round; None: it is none."""
    until: Until | None = None
    """When it ends, where it is no round; None: never."""

    async def check(self, plan: Plan) -> None:
        """Refuse to work until a store is empty in which something recurs. Checkpoint, or none.

        Raises:
            ValueError: something does.
            StoreError: the store could not be asked.
        """
        if self.until == "empty":
            counted = await self.store.stats()
            refuse_recurring({name: each for name, each in counted.items() if plan.serves(name)})

    @property
    def share(self) -> float:
        """The number of tasks that may run before it is known what other engines leave: none, if there may be such."""
        return 0.0 if self.store.shared else math.inf

    def gates(self, plan: Plan) -> Gates:
        """Return the gates of platforms that are shared, or the engine's own."""
        return plan.shared_gates if self.store.shared else plan.gates

    def backing(self, parts: Parts, hooks: RunHooks) -> StoreBacking:
        """Make what is behind the run."""
        return StoreBacking(parts, hooks, self)
