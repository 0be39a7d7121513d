"""The scheduler, which decides who runs now: lanes, event slots, and the lines before them.

All of this is synchronous. Whatever changes what may run (a task that ends or is parked, a new event, an alarm, a
`tune`, an outcome that is read) changes the state, names the lanes concerned (`kick`) and calls `settle`, which serves
these until nothing more can start. Serving a lane is one step without a checkpoint: look at slots, gate and agenda,
take the slots, book the request, launch the task.

Lanes that lack something shared stand in a line for it:

    line        a job could start but for an event slot, and room in the buffer; freed slots go round, one start a turn,
                and the lane that had its last turn longest ago comes first (`EventSlotQueue`)
    ahead       a parked task could go on but for an event slot, which its event gave back; these come before the line.
                If the platform has no turn when a slot is free, the event has the slot and waits for the turn
    blocked     a job of an event in progress could start but for room in the buffer

Invariants, between two steps:

- A task holds a token of its lane's limiter if and only if it runs; one that is parked, or waits for its start, holds
  none. An event holds one of `events` if and only if the agenda has it in progress.
- A lane that has work and starts nothing is looked at again: by a line that it stands in, its alarm, the next end or
  parking of a task of its own, a knob, or what other engines leave to it. So nothing is looked for by polling.
- A lane's queue is open if and only if `Lane.may_open` says so, as of when the lane was served or refreshed last.

Rejected: lanes that await their limiters. An event slot awaited while a platform's slot is held leaves that platform
idle, and the reverse order lets a slow platform fill the event limit (in the case of law 7 the other one then ends at
75 s in place of 5 s). With everything taken at one instant neither is ever held in waiting for the other.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict, deque
from typing import Protocol

import trio

from scrapeengine.decide.agenda import Agenda, Entry, Job
from scrapeengine.decide.holding import Holdup, LaneFacts, held_by
from scrapeengine.decide.rate import Booking
from scrapeengine.model.instrument import LaneHeld, PlatformOpened, TaskParked, TaskResumed
from scrapeengine.observe.instruments import Instruments
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.event_slots import EventSlotQueue
from scrapeengine.schedule.lane import ForeignRequest, Lane, TaskRecord
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Launcher", "Scheduler"]


class Launcher(Protocol):
    """Starts tasks, and says whether any may start."""

    def launch(self, lane: Lane, job: Job, booked: Booking, now: float) -> TaskRecord:
        """Start the task of a job; its tokens are taken and its first request is booked."""
        ...

    def has_room(self) -> bool:
        """Say whether a task may start, for all outcomes that wait."""
        ...

    def full(self) -> Holdup | None:
        """Say who takes outcomes too slowly, for which no task may start; None: there is room. From any thread."""
        ...

    def dry(self, lane: Lane) -> None:
        """Hear that a lane waits for a request that only others can book: its rate is shared."""
        ...

    def stranded(self, record: TaskRecord) -> None:
        """Hear that a task was parked whose platform is paused: it comes back once that is over, or not at all."""
        ...


_LIMIT, _NOTHING = Holdup.LIMIT, Holdup.NOTHING
"""Looked up once: that of an enum costs more than all that is asked beside it."""
_SLOW = {Holdup.CONSUMER, Holdup.SINKS, Holdup.STORE}


@uninterrupted
class Scheduler:
    """The state of one run that decides who runs now.

    Size: 33 methods. Each line of lanes has one way in and one way out, and they are always read together.

    Life: nothing starts before `open`; what runs goes on after `stop`; after `abort` nobody is held up any more.
    """

    def __init__(self, agenda: Agenda, event_limit: int, alarms: Alarms, instruments: Instruments) -> None:
        self.agenda = agenda
        self.instruments = instruments
        self.events = trio.CapacityLimiter(event_limit)
        """A token for each event in progress, held for all its tasks together."""
        self._event_limit = event_limit
        """The total of these, which is looked at several times for each task."""
        self.lanes: dict[str, Lane] = {}
        self.stopped: str | None = None
        """Why the run accepts nothing any more; None: it does. What runs may go on."""
        self.aborted = False
        """Whether the run is being cancelled, and no one needs a token any more."""
        self._launcher: Launcher | None = None
        """The launcher of tasks; None: nothing starts."""
        self._alarms = alarms
        self._kicked: OrderedDict[Lane, None] = OrderedDict()
        self._ahead: OrderedDict[Lane, None] = OrderedDict()
        self._line = EventSlotQueue()
        self._blocked: OrderedDict[Lane, None] = OrderedDict()
        self._to_tell: OrderedDict[Lane, None] = OrderedDict()
        """The lanes that were served in this step; who listens hears at its end, for others may take what they saw."""
        self._unroomy: OrderedDict[Lane, None] = OrderedDict()
        """The lanes of which it was last said that they wait for room. Some are in line for an event slot too."""
        self._settling = False

    # -- what happens

    def open(self, launcher: Launcher) -> None:
        """Let tasks start."""
        self._launcher = launcher

    def kick(self, lane: Lane) -> None:
        """Have a lane served by the next `settle`."""
        self._kicked[lane] = None

    def offer(self, lane: Lane) -> None:
        """Have a lane served for a job of an event that has just come, unless it waits for what that would need too.

        One that is full is served at its next end, and one in line as soon as there is an event slot; but who listens
        wants to hear that it is held back, if it was not before.
        """
        waits = lane.queue.open and (lane in self._line.places or lane.full)
        if not waits or (self.instruments.watched and lane.held_by is Holdup.NOTHING):
            self.kick(lane)

    def room(self) -> None:
        """Serve the lanes that waited for room in the buffer."""
        if self._blocked or self._line.places:
            # Those in line have their turn in `settle`. The blocked need no event slot, and so no turn.
            self._kicked.update(self._blocked)
            self._blocked.clear()
            self.settle()
        if self._unroomy:
            self.moved(trio.current_time())

    def limit_events(self, event_limit: int) -> None:
        """Let so many events be in progress; who has more reaches it as they end."""
        self._event_limit = self.events.total_tokens = event_limit

    def refresh(self, lane: Lane) -> None:
        """Bring a lane up to its penalty and its limit, which may have changed, and have it served."""
        now = trio.current_time()
        if now >= lane.limit.ends:
            lane.limit.lapse()
        self._swing(lane, now)
        self.kick(lane)

    def abort(self) -> None:
        """Start nothing more, and hold no one up."""
        self.aborted = True
        self._launcher = None
        for lane in self.lanes.values():
            # They wait shielded, so that no cancellation reaches them there.
            self.send_away(lane.landing)

    def drop(self, lane: Lane) -> None:
        """Forget a lane that has no work."""
        del self.lanes[lane.name]
        for line in (self._kicked, self._ahead, self._blocked, self._to_tell, self._unroomy):
            line.pop(lane, None)
        self._line.leave(lane)

    # -- what a task does

    def leave(self, record: TaskRecord) -> None:
        """Park a running task: it gives its slot back, and its event too if nothing else keeps it in progress."""
        record.leave(trio.current_time())
        record.lane.limit.give(record.job)
        if self.agenda.park(record.job):
            self.events.release_on_behalf_of(record.job.entry)
        self.kick(record.lane)
        if self.instruments.task_parked:
            event, now = record.job.entry.event, trio.current_time()
            details = TaskParked(time=now, event=event, platform=record.lane.name)
            self.instruments.tell(self.instruments.task_parked, details)
        limit = record.lane.limit
        if (limit.stopped or not limit.own) and self._launcher is not None:
            self._launcher.stranded(record)

    def end(self, record: TaskRecord) -> None:
        """Take a task off the scheduler; it has ended."""
        lane = record.lane
        if record.parked_since is None:  # who is parked has given its token back
            lane.limit.give(record.job)
        del lane.records[record]
        # A request of it may still wait in a nursery that is not the task's own. It is told that the task has ended.
        for line in (lane.returning, lane.landing):
            if record in line:
                line.remove(record)
                if record.wake is not None:
                    record.wake.set()
        if self.agenda.end(record.job):
            self.events.release_on_behalf_of(record.job.entry)
        self.kick(lane)

    def queue_up(self, record: TaskRecord, line: deque[TaskRecord], *, first: bool = False) -> trio.Event:
        """Stand in one of the lane's lines. The event is set when the task has its slots again, or is sent away."""
        record.wake = trio.Event()
        (line.appendleft if first else line.append)(record)
        self.kick(record.lane)
        return record.wake

    def send_away(self, line: deque[TaskRecord] | deque[ForeignRequest]) -> None:
        """Wake all who stand in a line, without a slot."""
        while line:
            waiting = line.popleft()
            if waiting.wake is not None:
                waiting.wake.set()

    def abandon(self, job: Job) -> None:
        """Take a job off the scheduler that was never started."""
        if self.agenda.end(job):
            self.events.release_on_behalf_of(job.entry)

    # -- who runs now

    def settle(self, now: float | None = None) -> None:
        """Serve all lanes that were kicked, and those in line for an event slot as long as there is one.

        Args:
            now: the time, if it was just read.
        """
        if self._settling:
            return  # a start, an end or a hook within the step: whom it kicked the loop below will serve
        self._settling = True
        if now is None:
            now = trio.current_time()
        try:
            while True:
                if self._kicked:
                    self._serve(self._kicked.popitem(last=False)[0], now, turn=False)
                elif not (self._ahead or self._line.places) or self.events.borrowed_tokens >= self._event_limit:
                    break  # nobody is in line; or, until an event gives its slot back, nobody can have one
                elif self._ahead:  # before the line: who was parked comes back ahead of new tasks (law 6)
                    lane = self._ahead.popitem(last=False)[0]
                    self._serve(lane, now, turn=False)
                    self._call_back(lane)
                elif self._line.places and self._may_start():
                    self._serve(self._line.next(), now, turn=True)
                else:
                    break  # those in line wait for an end, an outcome that is read, or an alarm
            while self._to_tell:
                self._tell_holdup(self._to_tell.popitem()[0], now)
        finally:
            self._settling = False

    def _serve(self, lane: Lane, now: float, *, turn: bool) -> None:
        """Let everything go on or start that may now; leave the lane in line for what it lacks.

        Args:
            lane: the lane.
            now: the time of this step.
            turn: whether it is the lane's turn to take an event slot; if not, it takes one only if no one is in line.
        """
        if now >= lane.limit.ends:
            lane.limit.lapse()  # here, and in no task: what starts in this step would start before that runs
        # At the very instant at which its penalty ends a lane may be served before its alarm has rung. Taken for closed
        # still, it would start jobs that its queue does not count.
        self._swing(lane, now)
        # First those that gave up waiting: they need no request, so neither rate nor penalty holds them up.
        while lane.landing and not lane.full:
            if not self._bring_back(lane, lane.landing, now, book=False):
                break  # for want of event slots, for which the lane is in line now
        full = self._start_own(lane, now, turn=turn)
        # What the own ones leave of the rate, also where the lane is full: foreign requests take no token here.
        while lane.foreign_requests and not self._saves_up(lane, now) and self._admit(lane, now):
            pass
        if self.instruments.watched:
            limit = lane.limit
            if full and lane.held_by is _LIMIT and lane.queue.waiting and lane.queue.open and limit.own == limit.now:
                # The limit goes on to bind, as with most starts: it is not asked for again.
                self._to_tell.pop(lane, None)
            else:
                self._to_tell[lane] = None

    def _start_own(self, lane: Lane, now: float, *, turn: bool) -> bool:  # noqa: C901 - each lack has its branch
        """Let a platform's own tasks go on or start, in turns with its foreign requests where there are any.

        Returns:
            Whether it was looked for a token, and none is free.
        """
        begun = False  # one event slot a turn, so that slots go round among the lanes in line
        if not (lane.returning or lane.queue.waiting):
            return False
        # In this step tokens are taken here only, so they are counted down and not looked at again.
        free = lane.limit.now - lane.limit.limiter.borrowed_tokens
        while free > 0 and (lane.returning or lane.queue.waiting):
            cost = lane.returning[0].cost if lane.returning else lane.usual_cost
            opens_at = lane.gate.opens_at(now, cost)
            if opens_at > now:
                self._wake_at(lane, opens_at)  # nothing may be asked there before: the alarm serves it again
                return False
            if lane.foreign_requests and not lane.own_next:
                if self._admit(lane, now):
                    continue
                return False  # its turn, and it is a dear one
            if lane.returning and self._bring_back(lane, lane.returning, now, book=True):
                lane.own_next = False
                free -= 1
                continue
            # Those that come back may lack event slots. Jobs of events that are in progress need none.
            if self._launcher is None or lane.at_bound:
                return False  # nothing new starts; at the bound the next end or return serves the lane again
            may_begin = (
                not begun
                and self.events.borrowed_tokens < self._event_limit
                and (turn or not (self._line.places or self._ahead))
            )
            job = lane.queue.choose(may_begin=may_begin)
            if job is None or not self._launcher.has_room():
                # In line for an event slot; and for room as well, where a job has its slot and lacks nothing else.
                self._line.join(lane)
                if job is not None and lane.queue.choose(may_begin=False) is not None:
                    self._blocked[lane] = None
                return False
            if not job.entry.in_progress:
                self._begin(job.entry, lane)
                self._line.turn(lane)
                begun = True
            self._start(lane, job, now)
            lane.own_next = False
            free -= 1
        return free <= 0

    def _saves_up(self, lane: Lane, now: float) -> bool:
        """Say whether it is the turn of a dear request of the lane's own, which cheap ones would keep waiting."""
        if not lane.own_next or not lane.returning or lane.full:
            return False
        cost = lane.returning[0].cost
        return cost > 1 and lane.gate.opens_at(now, cost) > now

    def _admit(self, lane: Lane, now: float) -> bool:
        """Book a request that a task of another platform wants to make here, if one may start. It takes no slot."""
        opens_at = lane.gate.opens_at(now, lane.foreign_requests[0].cost)
        if opens_at > now:
            self._wake_at(lane, opens_at)
            return False
        foreign_request = lane.foreign_requests.popleft()
        foreign_request.booked = lane.gate.rate_limiter.book(foreign_request.cost)
        # If it lapses it counts for nothing: its task comes back to its own token first, and books anew if it is late.
        lane.gate.rate_limiter.begin(foreign_request.booked, now)
        lane.gate.rate_limiter.excuse(foreign_request.booked)
        foreign_request.wake.set()
        lane.own_next = True
        return True

    def _swing(self, lane: Lane, now: float) -> None:
        """Open or close a lane as its state says, and look again when its penalty ends."""
        closed = lane.gate.closed(now)
        if closed:
            self._wake_at(lane, lane.gate.penalty.until)
        if lane.may_open(now, closed=closed) == lane.queue.open:
            return
        if lane.queue.open:
            # Events that waited here and are kept in progress by nothing else: others may have their slots (law 7).
            for entry in self.agenda.close(lane.queue):
                self.events.release_on_behalf_of(entry)
        else:
            self.agenda.open(lane.queue)
            if self.instruments.platform_opened:
                self.instruments.tell(self.instruments.platform_opened, PlatformOpened(time=now, platform=lane.name))

    def _begin(self, entry: Entry, served: Lane | None = None) -> None:
        """Give an event its slot, and have the lanes served that its tasks wait for; not one that is being served."""
        self.events.acquire_on_behalf_of_nowait(entry)
        for queue in self.agenda.begin(entry):
            lane = self.lanes[queue.name]
            if lane is not served:
                self.kick(lane)

    def _start(self, lane: Lane, job: Job, now: float) -> None:
        assert self._launcher is not None
        lane.moved = now
        lane.limit.take(job)
        self.agenda.start(job)
        lane.records[self._launcher.launch(lane, job, lane.gate.rate_limiter.book(lane.usual_cost), now)] = None

    def _bring_back(self, lane: Lane, parked: deque[TaskRecord], now: float, *, book: bool) -> bool:
        """Give the first parked task that can have them its slots again; false if it is for want of event slots."""
        for record in parked:
            entry = record.job.entry
            if entry.in_progress or self.events.borrowed_tokens < self._event_limit:
                break
        else:
            self._ahead[lane] = None
            return False
        if book and record is not parked[0]:
            opens_at = lane.gate.opens_at(now, record.cost)
            if opens_at > now:  # dearer than the first, whose event lacks its slot
                self._wake_at(lane, opens_at)
                self._ahead[lane] = None
                return False
        parked.remove(record)
        if not entry.in_progress:
            self._begin(entry)
        lane.moved = now
        lane.limit.take(record.job)
        self.agenda.resume(record.job)
        record.booked = lane.gate.rate_limiter.book(record.cost) if book else None
        instruments, before = self.instruments, record.parked
        record.sit(now)
        if instruments.task_resumed:
            details = TaskResumed(time=now, event=entry.event, platform=lane.name, parked=record.parked - before)
            instruments.tell(instruments.task_resumed, details)
        for meter in instruments.meters:
            meter.task_returned(lane.queue.name, record.parked - before)
        if record.wake is not None:
            record.wake.set()
        return True

    def _call_back(self, lane: Lane) -> None:
        """Let the first parked task of a lane have its event's slot now, and wait only for the lane's own turn.

        Slots are free as tasks end, turns as the rate opens. A lane whose turns all go to events that have their slots
        would never have both at one instant, and what is parked there would wait until all others have ended.
        """
        if not lane.queue.open or lane.queue.called_back is not None or not lane.returning:
            return
        if self.events.borrowed_tokens < self._event_limit:
            entry = lane.returning[0].job.entry
            if not entry.in_progress:
                self._begin(entry)
            self.agenda.call_back(lane.returning[0].job)

    def facts(self, lane: Lane, now: float) -> LaneFacts:
        """Say how a lane stands, as far as that can hold it back. From any thread: nothing is changed."""
        return LaneFacts(
            waiting=lane.queue.waiting + len(lane.returning),
            own_limit=0 if lane.limit.stopped else lane.limit.own,
            limit=lane.limit.now,
            running=lane.limit.taken,
            started=len(lane.records),
            closed=lane.gate.closed(now),
            rate_open=lane.gate.glance(now, lane.next_cost) <= now,
            full=None if self._launcher is None else self._launcher.full(),
            event_slot=self.events.borrowed_tokens < self._event_limit,
        )

    def tell_holdups(self, mine: Instruments, now: float) -> None:
        """Tell those who have come now what holds each platform back."""
        for lane in list(self.lanes.values()):
            self._tell_holdup(lane, now)  # all: as long as nobody listened, nobody had it written down
            self._say_held(mine, lane, now)

    def moved(self, now: float) -> None:
        """Tell who listens if somebody else holds lanes back now, by not taking outcomes in time."""
        # Those in line for an event slot are not served as long as there is no room, and would hear nothing of it.
        for lane in [*self._unroomy, *self._line.places]:
            self._tell_holdup(lane, now)

    def _tell_holdup(self, lane: Lane, now: float) -> None:
        if lane.held_by is _NOTHING and not (lane.queue.waiting or lane.returning):
            return  # as in each step where the source is slow: nothing else need be looked at
        holdup = held_by(self.facts(lane, now))
        if holdup is not lane.held_by:
            lane.held_by = holdup
            if holdup in _SLOW:
                self._unroomy[lane] = None
            else:
                self._unroomy.pop(lane, None)
            self._say_held(self.instruments, lane, now)

    def _say_held(self, to: Instruments, lane: Lane, now: float) -> None:
        for meter in to.holdups:
            meter.held(lane.name, lane.held_by, now)
        if to.lane_held:
            details = LaneHeld(time=now, platform=lane.name, by=lane.held_by.value)
            self.instruments.tell(to.lane_held, details)

    def _may_start(self) -> bool:
        return self._launcher is not None and self._launcher.has_room()

    def _wake_at(self, lane: Lane, when: float) -> None:
        if when == math.inf:  # no time opens it: its rate is shared, and nothing of it is reserved for this engine
            if self._launcher is not None:
                self._launcher.dry(lane)
        elif when < lane.alarm:
            lane.alarm = when
            self._alarms.at(when, functools.partial(self._ring, lane, when))

    def _ring(self, lane: Lane, when: float) -> None:
        """Look at a lane again; not if an earlier alarm was set since, or the lane has gone."""
        if lane.alarm == when and self.lanes.get(lane.name) is lane:
            lane.alarm = math.inf
            self.refresh(lane)
            self.settle()

    def __repr__(self) -> str:
        """Count what is there."""
        running = sum(lane.limit.taken for lane in self.lanes.values())
        started = sum(len(lane.records) for lane in self.lanes.values())
        return (
            f"<Scheduler {len(self.lanes)} lanes, {running} running, {started - running} parked, "
            f"{self.events.borrowed_tokens}/{self.events.total_tokens:g} events, {len(self._line)} in line>"
        )
