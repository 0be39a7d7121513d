"""One run, put together.

    jobs ──> agenda ──> scheduler ──> task ──> ends ──> outbox ──> sinks, consumer
    (backing)                                 (backing)

The session builds these rooms and holds their life. It is what they report to where one must not know the other: an
outcome was taken, a task has ended, a platform has closed. Where jobs come from and where they end is the backing's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import trio

from scrapeengine.decide.agenda import Agenda
from scrapeengine.decide.binding import Coming
from scrapeengine.deliver.collector import Collector
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.deliver.sinks import AnySink, named_sinks
from scrapeengine.model.instrument import PlatformShut, RunEnded, RunStarted, SourceEnded, TaskEnded
from scrapeengine.model.outcome import KINDS, Cancelled, Outcome
from scrapeengine.model.report import Report, Statistics
from scrapeengine.model.sink import READER
from scrapeengine.observe.following import FollowsTask
from scrapeengine.observe.instruments import Instruments, check_instrument
from scrapeengine.observe.lines import Lines
from scrapeengine.observe.log import logger, write
from scrapeengine.run.backing import Parts, Work
from scrapeengine.run.explaining import statistics
from scrapeengine.run.penalties import Penalties
from scrapeengine.run.plan import Plan
from scrapeengine.run.services import Services, Starter
from scrapeengine.run.shutdown import Shutdown
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.clock import Anchor
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.lanes import Lanes
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.tasks.running import RunningTask
from scrapeengine.tasks.threads import Threads
from scrapeengine.tasks.workers import Workers
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Session"]

T = TypeVar("T")

_UNREAD = 10.0
"""Seconds after which it is said that nobody has begun to read."""


@uninterrupted
class Session(Generic[T]):
    """One run of an engine, from `open` to `close`.

    The rooms are built inside out. Five of them report to the session (`Room`, `Closing`, `Endings`, `RunHooks`,
    `SinkHost`), and do so only once it is open: then all of them are there.

    Size: 26 methods and 14 attributes, for all that is one run's comes together here: half of the methods are what
    those five report, and what its owner asks for.
    """

    def __init__(self, plan: Plan, work: Work, sinks: Sequence[AnySink[T]], instruments: Sequence[object]) -> None:
        """Build it.

        Args:
            plan: the engine's.
            work: what the run is to work on.
            sinks: where outcomes go first.
            instruments: who listens.
        """
        anchor, gates = Anchor.drop(plan.environment.wall_time), work.gates(plan)
        gates.attach(anchor)
        default = plan.default.name if plan.default else ""
        counters, lines = Counters(anchor, plan.declared, default), Lines(plan.declared, default)
        alarms, self.instruments = Alarms(), Instruments([lines, *instruments])
        outbox: Outbox[T] = Outbox(plan.settings.buffer, counters, lines, self.instruments, self, sinks=bool(sinks))
        self.collector = Collector(named_sinks(sinks), outbox, counters)
        scheduler = Scheduler(Agenda(plan.settings.dedupe, os.urandom(16)), plan.event_limit, alarms, self.instruments)
        lanes = Lanes(plan, scheduler, gates, self, work.share)
        clients = plan.clients(alarms)
        self.parts = Parts(
            plan, alarms, scheduler, lanes, counters, lines, outbox, self.collector, clients, self.instruments
        )
        self.outbox = outbox
        self.backing = work.backing(self.parts, self)
        self._finish = self.backing.ends.finish
        self.penalties = Penalties(self.parts, self.backing)
        self.shutdown = Shutdown(self.parts, self.backing)
        self.check = self.shutdown.check
        """Looks whether this was the last of it."""
        self.threads = Threads()
        self._starter: Starter | None = None
        self._left = False
        self._last: Statistics | None = None
        self._report: Report | None = None
        """The report once the run is over: its instruments may listen to the next run then."""

    # -- its life

    def open(self, nursery: trio.Nursery) -> None:
        """Begin, in a nursery that was opened for the run. Tasks get the context variables of who calls this."""
        services = Services(self.parts, self.backing, self.threads)
        workers = Workers(nursery, self)
        self._starter = Starter(self.parts, self.backing, services, workers)
        self.parts.scheduler.open(self._starter)
        nursery.start_soon(self.parts.alarms.run, name="scrapeengine alarms")
        nursery.start_soon(workers.dismiss, self.shutdown.ended, name="scrapeengine workers")
        nursery.start_soon(self.shutdown.bring_jobs, name="scrapeengine intake")
        receipts = self.backing.receipts
        if receipts is not None:
            self.outbox.tell(partial(receipts.delivered, READER))
        self.collector.open(nursery, receipts, self)
        nursery.start_soon(self._collect, name="scrapeengine collector")
        self.backing.open(nursery)
        self.penalties.begin()
        if self.instruments.run_started:
            self.instruments.tell(self.instruments.run_started, self._started(joined=False))

    async def _collect(self) -> None:
        await self.collector.collect()
        self._look_whether_left()

    def leave(self) -> None:
        """Hear that the program has left the run: nobody reads, or stops it, from here on."""
        self.parts.counters.unread += self.outbox.leave()
        self.collector.leave()
        self._left = True
        self._look_whether_left()

    def _look_whether_left(self) -> None:
        if self._left and self.collector.done.is_set():
            self.backing.left()

    def watch(self, instrument: object) -> None:
        """Let one more instrument listen, from now on."""
        mine, now = self.instruments.add(check_instrument(instrument)), trio.current_time()
        self.instruments.tell(mine.run_started, self._started(joined=True))
        if self.backing.jobs.done and mine.source_ended:
            self.instruments.tell(mine.source_ended, SourceEnded(time=now, error=None))
        if self.backing.jobs.done:
            for meter in mine.holdups:
                meter.comes(Coming.NONE, now)
        if mine.watched:
            self.parts.scheduler.tell_holdups(mine, now)

    def _started(self, *, joined: bool) -> RunStarted:
        now, plan = trio.current_time(), self.parts.plan
        wall = self.parts.counters.anchor.wall(now)
        return RunStarted(
            time=now,
            wall=wall,
            platforms=tuple(sorted(plan.declared)),
            default="" if plan.default is None else plan.default.name,
            settings=plan.knobs(),
            statistics=self.statistics,
            report=self.report,
            joined=joined,
        )

    async def close(self) -> None:
        """Leave nothing behind, once the nursery is done. Checkpoint; bounded in time, and not to be cancelled."""
        parts = self.parts
        self.shutdown.abort("the run was left")
        await self.backing.close()
        self.shutdown.close()
        self.collector.done.set()
        self._last = statistics(parts)  # before the gates are kept, for later runs to change
        parts.lanes.close(trio.current_time())
        parts.lanes.gates.detach(Anchor.drop(parts.plan.environment.wall_time))
        for name in self.threads.at_work():
            logger().warning("a worker thread cannot be interrupted and runs on", function=name)
        # Shielded, for the run may be being cancelled, and leaves nothing open; bounded, for closing may hang (law 9).
        with trio.move_on_after(1, shield=True):
            try:
                await parts.clients.aclose()
            except Exception as error:  # noqa: BLE001 - the run is over; what leaves it was chosen before
                logger().error("the connections could not be closed", exc_info=error)
        report = self._report = self.report()
        self._say_over(report)
        if self.instruments.run_ended:
            details = RunEnded(time=trio.current_time(), report=report)
            self.instruments.tell(self.instruments.run_ended, details)
        parts.lines.end()

    def _say_over(self, report: Report) -> None:
        """Say what came of the run, and how long a loop would have taken that runs one task after the other."""
        kinds = {kind: getattr(report.outcomes, kind) for kind in KINDS.values()}
        seconds = {"seconds": round(report.elapsed, 3), "one_by_one": round(report.one_by_one, 3)}
        write("info", "the run is over", kinds | seconds | ({} if report.stopped is None else {"why": report.stopped}))

    # -- what its rooms report

    def taken(self) -> None:
        """Look whether there is room: outcomes have left the outbox, or wait nowhere any more."""
        if self._starter is not None and self._starter.has_room():
            self.parts.scheduler.room()
            self.backing.wake()

    def sink_failed(self) -> None:
        """Stop: what has ended goes to the other sinks, and then the error leaves."""
        self.shutdown.stop(0.0, "a sink has failed")

    def moved(self) -> None:
        """Look again who takes outcomes too slowly, for those who listen."""
        if self._starter is not None and not self._starter.has_room():
            self.parts.scheduler.moved(trio.current_time())
            self.backing.wake()

    def unread(self) -> None:
        """Say so, if nobody has begun to read a while later."""
        self.parts.alarms.at(trio.current_time() + _UNREAD, self._say_unread)

    def _say_unread(self) -> None:
        if self.outbox.reader is None and not self.outbox.has_room() and not self._left:
            logger().warning(
                "nobody reads the outcomes of this run, so it starts no task any more: read them (async for outcome in "
                "run), or write `await run.wait()`, or give it sinks",
                waiting=self.outbox.waiting,
            )

    def closed(self, lane: Lane) -> None:
        """Let nobody wait for too long on a platform that has closed, and the backing know of it."""
        self.closed_by_others(lane)
        self.backing.closed(lane)

    def pause(self, platform: str) -> None:
        """Let nothing start on a platform until the program says otherwise."""
        self.parts.plan.tune_platform(platform, {"limit": 0})
        self.retune()

    def closed_by_others(self, lane: Lane) -> None:
        """Let nobody wait for too long on a platform that has closed, as the backing knows already."""
        if self.instruments.platform_shut:
            details = PlatformShut(time=trio.current_time(), platform=lane.name, until=lane.gate.penalty.until)
            self.instruments.tell(self.instruments.platform_shut, details)
        self.penalties.look_at(lane)
        self._turn_away(lane)

    def opened_by_others(self, lane: Lane) -> None:
        """Say that others have reopened a platform."""
        self.penalties.look_whether_open(lane.name)

    def _turn_away(self, lane: Lane) -> None:
        """Let what would wait for too long on a platform that has closed fail at once."""
        lane.dismiss_the_seated()
        if not lane.patient(trio.current_time()):
            self.parts.scheduler.send_away(lane.returning)
            self.parts.scheduler.send_away(lane.foreign_requests)
            for job in lane.queue.waiting_jobs():
                self.backing.ends.turn_away(job, lane)

    def ended(self, task: RunningTask, outcome: Outcome[Any]) -> None:
        """Take the outcome of a task, and see whether it was the last."""
        # Before others start in its place: who listens hears of its end first.
        if self.instruments.task_ended:
            self._tell_end(outcome)
        if task.record.followed:
            self._finish_followed(task, task.record.followed, outcome)
        else:
            self._finish(task, outcome)
        self.shutdown.check()

    def broken(self, task: RunningTask) -> None:
        """End a task by which the run ends."""
        self.shutdown.abort("the run was cancelled")  # first: its end must let nothing start
        outcome: Outcome[Any] = Cancelled(reason="the run was cancelled", **task.times())
        if self.instruments.task_ended:
            self._tell_end(outcome)
        if task.record.followed:
            self._finish_followed(task, task.record.followed, outcome)
        else:
            self._finish(task, outcome)

    def _finish_followed(self, task: RunningTask, followed: Sequence[FollowsTask], outcome: Outcome[Any]) -> None:
        for each in followed:
            if each.recorded:
                self.instruments.tell_follower(each, "ended", outcome, trio.current_time())
        try:
            self._finish(task, outcome)  # what is logged of it belongs to its span
        finally:
            for each in reversed(followed):
                each.left()

    def _tell_end(self, outcome: Outcome[Any]) -> None:
        self.instruments.tell(self.instruments.task_ended, TaskEnded(time=trio.current_time(), outcome=outcome))

    # -- what its owner asks for

    def retune(self) -> None:
        """Let the run be as the plan has it now."""
        parts, settings = self.parts, self.parts.plan.settings
        parts.outbox.resize(settings.buffer)
        now = trio.current_time()
        parts.lanes.retune(now)
        parts.scheduler.limit_events(parts.plan.event_limit)
        for lane in list(parts.scheduler.lanes.values()):  # a list: a host's lane goes with its last job
            if lane.gate.closed(now):  # its patience may be less than it was
                self._turn_away(lane)
        self.taken()
        parts.scheduler.settle()
        self.backing.retuned()

    def statistics(self) -> Statistics:
        """Say what the run is doing, or did last. From any thread."""
        return self._last or statistics(self.parts)

    def report(self) -> Report:
        """Say what the run has done so far."""
        return self._report or self.parts.counters.report(self.parts.scheduler.stopped, self.instruments)
