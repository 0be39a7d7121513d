"""The part of the engine that serves one platform, and what it knows of a task that was started there.

Who may write which field:

    `TaskRecord`
        booked                      the scheduler, as it starts or brings back the task; whoever uses the booking
        cost                        whoever waits for a request, before the task joins the line
        parked, parked_since        `leave` and `sit`, called by the scheduler alone
        wake                        the scheduler, as the task joins one of the lane's lines
        stopped                     `cancel`, once

    `Lane`
        platform, home              `Lanes`, when the platform is tuned
        limit                       its parts have a writer each; see `EffectiveLimit`
        gate                        what passes it: the scheduler's bookings, destinations, `Sharing`
        queue                       the agenda
        records                     the scheduler: a task is here from its start to its end
        returning, landing          the scheduler, and a task that gives up waiting, which takes itself out
        foreign_requests            destinations put themselves in and, if cancelled, out; the scheduler admits them
        own_next, alarm, held_by    the scheduler
        moved                       the scheduler, and `Lanes` where a pause ends
        paused                      `Lanes`
        last_cost, usual_cost       destinations
        turned                      `EventSlotQueue`
        guests                      `Lanes.visit`
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from scrapeengine.decide.agenda import Job, Queue
from scrapeengine.decide.gate import Gate
from scrapeengine.decide.holding import Holdup, LaneTimes, held_since
from scrapeengine.decide.rate import Booking
from scrapeengine.errors import PlatformClosed
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import PlatformStatistics
from scrapeengine.observe.following import FollowsTask
from scrapeengine.schedule.limits import EffectiveLimit
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["ForeignRequest", "Lane", "TaskRecord"]


@attrs.define(eq=False, repr=False)
class TaskRecord:
    """The scheduler's record of a task that was started and has not ended: it holds a token, or is parked.

    Size: 12 attributes, which the scheduler and the task look at together.
    """

    job: Job
    lane: Lane
    started: float
    booked: Booking | None
    """A request that was booked for it and that it has not used."""
    cost: int = attrs.field(default=1, init=False)
    """The cost of the request for which it waits."""
    scope: trio.CancelScope
    """The scope that its deadline and a stop cancel."""
    parked: float = attrs.field(default=0.0, init=False)
    """Seconds for which it has been parked, up to when it was last resumed."""
    parked_since: float | None = attrs.field(default=None, init=False)
    """When it was parked; None while it holds a token."""
    wake: trio.Event | None = attrs.field(default=None, init=False)
    """The event that it waits for in one of the lane's lines; set when it has its tokens again, or is sent away."""
    stopped: str | None = attrs.field(default=None, init=False)
    """Why it was cancelled by the run; None if it was not."""
    followed: Sequence[FollowsTask] = attrs.field(default=(), init=False)
    """Who follows it."""
    _left: float = attrs.field(default=math.inf, init=False)

    @property
    def ended(self) -> bool:
        """Whether the task has ended: then others have its scope, and nothing of it may wait any more."""
        return self not in self.lane.records

    def begin(self) -> None:
        """Say that the scraper is called now, for which a request was booked: the booking lapses from now on."""
        gate = self.lane.gate
        if self.booked is not None and (gate.rate_limiter.rates or gate.heard is not None):
            gate.rate_limiter.begin(self.booked, trio.current_time())

    def leave(self, now: float) -> None:
        """Stop the clock of its deadline: it gives its token back."""
        self.parked_since = now
        self._left = self.scope.deadline - now
        self.scope.deadline = math.inf

    def sit(self, now: float) -> None:
        """Go on with the clock of its deadline: it has its token again."""
        assert self.parked_since is not None
        self.parked += now - self.parked_since
        self.parked_since = None
        self.scope.deadline = now + self._left

    def cancel(self, reason: str) -> None:
        """Cancel the task, for a reason that its outcome will say; not once it has ended, and others have its scope."""
        if self.stopped is not None or self.ended:
            return
        self.stopped = reason
        self.scope.cancel()
        # Where it waits for a token only to go on to its end, it need not have one: it is cancelled there.
        if self in self.lane.landing and self.wake is not None:
            self.lane.landing.remove(self)
            self.wake.set()

    def __repr__(self) -> str:
        """Say how it stands."""
        return f"<TaskRecord on {self.lane.name!r} {'running' if self.parked_since is None else 'parked'}>"


@attrs.define(eq=False)
class ForeignRequest:
    """A request that a task of another platform wants to make here: a redirect has led to this one."""

    seated: bool = False
    """Whether its task holds its own token meanwhile."""
    cost: int = 1
    wake: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when it is booked, or sent away."""
    booked: Booking | None = attrs.field(default=None, init=False)


@uninterrupted
@attrs.define(eq=False, repr=False)
class Lane:
    """One platform, while it has work. Who may start, and when, is decided by the `Scheduler`.

    Size: 18 fields and 16 methods. They are one state: each step of the scheduler looks at nearly all of them at once.
    """

    platform: Platform[Any]
    gate: Gate
    queue: Queue
    limit: EffectiveLimit
    """The limit of its tasks as it is now; each that runs holds a token."""
    home: str | None
    """The host of its `base_url`."""
    records: dict[TaskRecord, None] = attrs.field(factory=dict, init=False)
    """The tasks that have been started and have not ended."""
    returning: deque[TaskRecord] = attrs.field(factory=deque, init=False)
    """Parked tasks whose next request waits for its turn, in their order."""
    landing: deque[TaskRecord] = attrs.field(factory=deque, init=False)
    """Parked tasks that gave up waiting, and need a token to go on without a request."""
    foreign_requests: deque[ForeignRequest] = attrs.field(factory=deque, init=False)
    """Requests of other platforms' tasks that wait for their turn here, in their order."""
    own_next: bool = attrs.field(default=False, init=False)
    """Whether it is the turn of this platform's own tasks, where foreign requests wait too."""
    last_cost: int = attrs.field(default=1, init=False)
    """The cost of the last request that was booked for a task."""
    usual_cost: int = attrs.field(default=1, init=False)
    """The lesser of the last two: what is booked for a task that starts, of which nobody knows what it will cost.

    Where that is too little it is booked anew. Too much of a shared rate would be lost to all.
    """
    guests: int = attrs.field(default=0, init=False)
    """The number of other platforms' tasks that have to do with this one now; it stays for them."""
    turned: int = attrs.field(default=0, init=False)
    """When it last took an event slot for a start, by the count of the line before these; 0: it never wanted one."""
    alarm: float = attrs.field(default=math.inf, init=False)
    """When the scheduler looks here next, whatever happens until then."""
    held_by: Holdup = attrs.field(default=Holdup.NOTHING, init=False)
    """The reason that holds it back, as instruments were last told."""
    moved: float = attrs.field(default=-math.inf, init=False)
    """When a task last started or went on here, or some could again."""
    paused: float = attrs.field(default=-math.inf, init=False)
    """When it was last paused."""

    @classmethod
    def of(cls, name: str, platform: Platform[Any], gate: Gate, share: float = math.inf) -> Lane:
        """Make the lane of a platform; a host's is named by the host, not by the default that serves it."""
        return cls(platform, gate, Queue(name), EffectiveLimit(platform.limit, share), platform.host)

    @property
    def name(self) -> str:
        """The platform's name."""
        return self.queue.name

    @property
    def idle(self) -> bool:
        """Whether nothing waits, runs or is parked here."""
        return not (self.queue.waiting or self.records or self.guests)

    @property
    def next_cost(self) -> int:
        """The cost of the next request of a task of its own. From any thread."""
        try:
            return self.returning[0].cost
        except IndexError:
            return self.usual_cost

    @property
    def full(self) -> bool:
        """Whether no token is free."""
        return self.limit.limiter.borrowed_tokens >= self.limit.now

    @property
    def at_bound(self) -> bool:
        """Whether one task more would make running and parked ones exceed twice the limit."""
        return len(self.records) >= self.limit.bound

    @property
    def stuck(self) -> bool:
        """Whether the bound is reached by parked tasks alone.

        They need event slots to go on. An event that holds one, and waits here for a start that the bound forbids,
        must not keep it from them, or all would wait for ever.
        """
        return len(self.records) >= self.limit.bound and not self.limit.taken

    def dismiss_the_seated(self) -> None:
        """Send the foreign requests away that hold tokens of their own: the platform has closed."""
        seated = [foreign_request for foreign_request in self.foreign_requests if foreign_request.seated]
        for foreign_request in seated:
            self.foreign_requests.remove(foreign_request)
            foreign_request.wake.set()

    def cancel_parked(self, reason: str) -> None:
        """Cancel the tasks that are parked here, for a reason that their outcomes will say."""
        for record in list(self.records):
            if record.parked_since is not None:
                record.cancel(reason)

    def may_open(self, now: float, *, closed: bool | None = None) -> bool:
        """Say whether events may wait here with an event slot: the platform is not paused, closed or stuck.

        Args:
            now: the time.
            closed: whether it is under penalty, if that is known already.
        """
        if self.gate.closed(now) if closed is None else closed:
            return False
        return self.limit.now > 0 and not self.stuck

    def patient(self, now: float) -> bool:
        """Say whether the platform opens again within the patience of its policy."""
        return self.gate.penalty.until - now <= self.platform.retry.patience

    def impatience(self, now: float) -> PlatformClosed:
        """Make the error of a task that would have to wait for too long."""
        seconds = self.gate.penalty.until - now
        return PlatformClosed(
            f"{self.name!r} asked not to be called for another {seconds:.0f} s, which is more than its "
            f"Retry(patience={self.platform.retry.patience:g}); run the event again after that",
            seconds=seconds,
        )

    def over_budget(self, now: float) -> str:
        """Say in words that the platform's budget has no retry left; else nothing."""
        share = self.platform.retry.budget
        if self.gate.budget.allows(now, share):
            return ""
        whose = f"Retry(budget={share:g}) of {self.name!r}"
        return f"the platform's retries exceed {share * 100:g} % of its requests ({whose})"

    def times(self) -> LaneTimes:
        """Say when it came to stand as it does. From any thread."""
        returning = self.returning.copy()
        waits = self.queue.since
        if returning and not self.queue.waiting and returning[0].parked_since is not None:
            waits = returning[0].parked_since
        penalty = self.gate.penalty
        return LaneTimes(closed=penalty.since, opened=penalty.until, paused=self.paused, moved=self.moved, waits=waits)

    def statistics(self, now: float, holdup: Holdup) -> PlatformStatistics:
        """Say what this platform is doing, and since when that holds it back. From any thread."""
        since, taken = held_since(holdup, self.times()), self.limit.taken
        return PlatformStatistics(
            limit=self.limit.own,
            running=taken,
            parked=max(0, len(self.records) - taken),
            waiting=self.queue.waiting,
            opens_in=max(0.0, self.gate.glance(now, self.next_cost) - now),
            held_by=holdup.value,
            held_for=0.0 if since is None else max(0.0, now - since),
        )

    def __repr__(self) -> str:
        """Count what this platform is doing."""
        taken = self.limit.taken
        return (
            f"<Lane {self.name!r} {taken}/{self.limit.now} running, {len(self.records) - taken} parked, "
            f"{self.queue.waiting} waiting>"
        )
