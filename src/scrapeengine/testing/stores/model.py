"""A store as it should be, as plainly as it can be written: lists that are searched and sorted each time.

It is the oracle of the stateful test, and knows nothing of any backend. Only how slots and start times are shared is
decided where all stores have it decided (`decide.share`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from scrapeengine.decide.poison import LIVED, LONG, PAUSE
from scrapeengine.decide.rate import restated
from scrapeengine.decide.share import Hold, contended, grant, reserve, used
from scrapeengine.errors import StoreFull
from scrapeengine.model.event import Event
from scrapeengine.model.job import (
    Claimed,
    Completion,
    Content,
    Delivery,
    JobStatus,
    Kept,
    Known,
    NewJob,
    QueueStatistics,
    Reply,
    ShareGrant,
    ShareRequest,
    StoredJob,
    Ticket,
)
from scrapeengine.model.sink import Position
from scrapeengine.model.validators import Validator
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.policy import StorePolicy

__all__ = ["StoreModel"]

READY, DELAYED, LEASED = JobStatus.READY, JobStatus.DELAYED, JobStatus.LEASED
FAILED, CANCELLED = JobStatus.FAILED, JobStatus.CANCELLED


@attrs.define(eq=False)
class ModelJob:
    """A job. Times are by `now`, but for the end of a lease, which is by `awake`.

    Size: one field for each thing that is known of it.
    """

    platform: str
    id: str
    payload: str
    priority: int
    cadence: str | None
    enqueued: float
    turn: int
    """Its turn among those that became ready, or were delayed."""
    status: JobStatus = READY
    due: float = 0.0
    attempts: int = 0
    token: int | None = None
    """Of its lease."""
    accepted: int | None = None
    """Of the lease whose completion was accepted last."""
    finished: float | None = None
    free: float = math.inf
    """Ended: from when on it may be dropped."""
    expires: float = math.inf
    """Ended: until when it is known."""
    result: Content | None = None
    error: str | None = None
    history: str | None = None
    followed: bool = False
    """Whether a task has led to it."""
    within: float | None = None
    """Leased: when it is due again at the latest, for its cadence has changed."""
    returned: bool = False
    """Delayed: whether somebody has given it back until then."""
    deaths: int = 0
    """How often a process has died while its scraper ran, as far as that counts."""
    died: float = 0.0
    """When the last one did, by `awake`."""

    @property
    def suspect(self) -> bool:
        """Whether it is tried with no other one beside it."""
        return self.deaths in {1, 2, 3}


@attrs.define(eq=False)
class ModelShare:
    """One platform that engines share."""

    holds: dict[str, tuple[Hold, float]] = attrs.field(factory=dict)
    """By owner, with the end of the lease."""
    times: dict[str, list[float]] = attrs.field(factory=dict)
    """The start times that are reserved and still to come, by owner."""
    tats: dict[float, float] = attrs.field(factory=dict)
    closed_until: float | None = None
    openings: int = 0
    """How often it was reopened."""
    paused: bool = False
    """Whether no task is to start there."""

    def grant(self, owner: str, asked: ShareRequest, lease: float, moment: Moment) -> ShareGrant:
        """Say what an engine may do."""
        awake, ahead = moment.awake, moment.unix + moment.asleep
        self.count(awake)
        self.holds = {name: held for name, held in self.holds.items() if held[1] > awake}
        self.times = {name: times for name, times in self.times.items() if name in self.holds}
        before = self.holds.pop(owner, (Hold(0, 0, 0), 0.0))[0]
        mine, others = attrs.evolve(before, wanted=asked.wanted, held=asked.held), [it for it, _ in self.holds.values()]
        slots = mine.slots if asked.keep and mine.slots else grant(asked.limit, mine, others)
        slots = 0 if self.paused else slots
        times: tuple[float, ...] = ()
        kept = [at for at in self.times.get(owner, []) if at < awake + 1e-6 or not asked.anew]
        self.times[owner] = kept
        if asked.rates and asked.requests > 0:
            self.tats = restated(self.tats, awake, [rate.interval for rate in asked.rates])
            most = max(1, int(0.5 / (max(rate.interval for rate in asked.rates) * asked.cost) + 1e-6))
            taken = sorted(at for each in self.times.values() for at in each)
            n = min(asked.requests, most)
            times, _ = reserve(self.tats, awake + asked.lead, asked.rates, n, taken, cost=asked.cost)
            self.times[owner] = [*kept, *times]
        if mine.demand or self.times[owner]:
            served = awake if slots or mine.held else mine.served
            self.holds[owner] = Hold(slots, mine.wanted, mine.held, served), awake + lease
        told = None if asked.closed_until is None else asked.closed_until - ahead
        if asked.openings is not None and asked.openings != self.openings:
            told = None
        self.closed_until = max((at for at in (told, self.closed_until) if at is not None and at > awake), default=None)
        return ShareGrant(
            slots=slots,
            times=tuple(at + ahead for at in times),
            closed_until=None if self.closed_until is None else self.closed_until + ahead,
            contended=contended(mine, others),
            openings=self.openings,
            paused=self.paused,
        )

    def count(self, awake: float) -> None:
        """Take the start times that are over for used; of engines whose leases are over those of this instant too."""
        over = []
        for name, (_, until) in self.holds.items():
            bound = awake + (1e-6 if until <= awake else -1e-6)
            over += [at for at in self.times[name] if at < bound]
            self.times[name] = [at for at in self.times[name] if at >= bound]
        self.tats = {interval: used(tat, over, interval) for interval, tat in self.tats.items()}


@attrs.define(eq=False)
class StoreModel:
    """All calls of a store, at the moment that it is told, synchronously.

    Size: it is the whole protocol, in plain words.
    """

    policy: StorePolicy
    moment: Moment
    """When the next call is; set before each."""
    rows: dict[tuple[str, str], ModelJob] = attrs.field(factory=dict, init=False)
    seen: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    """What a crawl has seen and is forgotten."""
    pages: dict[tuple[str, str], Validator] = attrs.field(factory=dict, init=False)
    outbox: dict[tuple[str, Delivery], tuple[float, str]] = attrs.field(factory=dict, init=False)
    slots: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)
    locks: dict[str, tuple[str, float]] = attrs.field(factory=dict, init=False)
    shares: dict[str, ModelShare] = attrs.field(factory=dict, init=False)
    began: float = attrs.field(default=-math.inf, init=False)
    """When the process began that uses the store now."""
    _turn: int = attrs.field(default=0, init=False)

    # -- what programs ask for

    def enqueue(self, jobs: Sequence[NewJob], *, replace: bool = False) -> list[Known]:
        """Add jobs, all or none."""
        if len({(job.platform, job.id) for job in jobs}) > self.policy.max_pending:
            raise StoreFull("there will never be room")
        room = self.policy.max_pending - len([job for job in self.rows.values() if job.status.pending])
        if len({(job.platform, job.id) for job in jobs if self._makes_one_more(job)}) > room:
            raise StoreFull("there is no room")
        answers = []
        for job in jobs:
            before = self._known(job.platform, job.id)
            new = before is None or before.status in {FAILED, CANCELLED}
            if new:
                self._begin(job, None if before is None else before.accepted)
            it = self.rows[job.platform, job.id]
            if not new and job.cadence is not None:
                self._change_cadence(it, job)
            replaced = not new and replace and it.status in {READY, DELAYED}
            if replaced:
                self._replace(it, job)
            answers.append(Known(new, self._shown(it), replaced))
        self._forget()
        return answers

    def get(self, platform: str, id: str) -> StoredJob | None:
        """Return a job."""
        job = self._known(platform, id)
        return None if job is None else self._shown(job)

    def cancel(self, platform: str, id: str) -> bool:
        """Call a pending job off."""
        job = self._known(platform, id)
        if job is None or not job.status.pending:
            return False
        self._end(job, JobStatus.CANCELLED, 0.0)
        self._forget()
        return True

    def position(self, platform: str, id: str) -> int | None:
        """Count the ready jobs before a ready one."""
        job = self.rows.get((platform, id))
        return self._queue(platform).index(job) if job is not None and job.status is READY else None

    def stats(self) -> dict[str, QueueStatistics]:
        """Count the jobs of each platform."""
        self._promote(math.inf)
        self._forget()
        found = {}
        awake = self.moment.awake
        shut = {name for name, it in self.shares.items() if it.paused or (it.closed_until or -math.inf) > awake}
        for platform in shut | {job.platform for job in self.rows.values()}:
            jobs = [job for job in self.rows.values() if job.platform == platform]
            counts = {status.value: len([job for job in jobs if job.status is status]) for status in JobStatus}
            since = min((job.enqueued for job in jobs if job.status is READY), default=None)
            counts["recurring"] = len([job for job in jobs if job.status.pending and job.cadence is not None])
            share = self.shares.get(platform, ModelShare())
            found[platform] = QueueStatistics(
                **counts,
                oldest=None if since is None else self.moment.now - since,
                paused=share.paused,
                closed=0.0 if share.closed_until is None else max(0.0, share.closed_until - awake),
            )
        return found

    def jobs(
        self,
        *,
        platform: str | None = None,
        status: JobStatus | Collection[JobStatus] | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[StoredJob]:
        """List jobs."""
        statuses = JobStatus if status is None else [status] if isinstance(status, JobStatus) else status
        names = [
            name
            for name, job in sorted(self.rows.items())
            if self._known(*name) and job.status in statuses and platform in {None, job.platform}
        ]
        return [self._shown(self.rows[name]) for name in names if after is None or name > after][:limit]

    def retry(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """Run again what has failed or was cancelled, as it is listed, or as it is named."""
        found = [job for job in self._meant(platform, ids, events) if job.status in {FAILED, CANCELLED}]
        for job in found:
            job.status, job.turn, job.enqueued, job.attempts = READY, self._next(), self.moment.now, 0
            job.free = job.expires = math.inf
        return len(found)

    def forget(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """Forget what has ended."""
        found = [job for job in self._meant(platform, ids, events) if not job.status.pending]
        for job in found:
            del self.rows[job.platform, job.id]
        return len(found)

    def close(self, platform: str, seconds: float) -> None:
        """Close a platform."""
        share = self.shares.setdefault(platform, ModelShare())
        share.closed_until = max(self.moment.awake + seconds, share.closed_until or -math.inf)

    def reopen(self, platform: str) -> None:
        """Reopen a platform."""
        share = self.shares.setdefault(platform, ModelShare())
        share.closed_until, share.openings = None, share.openings + 1
        for job in self._delayed():
            if job.returned and job.platform == platform:
                self._arrive(job)

    def pause(self, platform: str) -> None:
        """Let no task of a platform start."""
        self.shares.setdefault(platform, ModelShare()).paused = True

    def resume(self, platform: str) -> None:
        """End a pause."""
        self.shares.setdefault(platform, ModelShare()).paused = False

    # -- what an engine asks for

    def due(self, until: float | None) -> list[str]:
        """Make ready what is due, and name the platforms with ready jobs."""
        self._promote(math.inf if until is None else until - self.moment.unix)
        self._forget()
        return sorted({job.platform for job in self.rows.values() if job.status is READY})

    def claimable(self, platform: str, n: int, ids: Collection[str] | None) -> list[ModelJob]:
        """List what a claim gets."""
        queue = [job for job in self._queue(platform) if ids is None or job.id in ids]
        tried = any(job.suspect and job.status is LEASED for job in self.rows.values())
        suspects = [] if tried else sorted((job for job in queue if job.suspect), key=lambda job: job.deaths)
        least = min((job.deaths for job in self.rows.values() if job.suspect and job.status is READY), default=0)
        first = [job for job in suspects[:1] if job.deaths == least or job.died + PAUSE <= self.moment.awake]
        if first and first[0].deaths == 3 and min(self.began + LIVED, first[0].died + LONG) > self.moment.awake:
            first = []
        return [job for job in queue if not job.suspect or job in first][:n]

    def claim(self, job: ModelJob, lease: float, token: int) -> Claimed:
        """Lease a job, by the token that the store has chosen."""
        job.status, job.due, job.token, job.attempts = LEASED, self.moment.awake + lease, token, job.attempts + 1
        job.within = None
        ticket, since = Ticket(job.platform, job.id, token), self.moment.shown(job.enqueued)
        return Claimed(ticket, job.payload, job.priority, job.attempts, since, job.cadence, job.history, job.deaths)

    def renew(self, tickets: Iterable[Ticket], lease: float) -> list[Reply]:
        """Let leases end later, or sooner."""
        replies = []
        for ticket in tickets:
            job = self._held(ticket)
            if job is not None:
                job.due = self.moment.awake + lease
            replies.append(Reply.LOST if job is None else Reply.OK)
        return replies

    def complete(self, completions: Iterable[Completion]) -> list[Reply]:
        """End jobs, or let them wait for their next time."""
        going = self._crawling()
        replies = [self._complete(completion, going=going) for completion in completions]
        self._forget()
        return replies

    def release(self, tickets: Iterable[Ticket], delay: float, *, died: bool = False) -> list[Reply]:
        """Give jobs back, or have them end the process."""
        replies = []
        for ticket in tickets:
            job = self._held(ticket)
            if job is not None:
                job.status, job.due = (DELAYED, self.moment.now + delay) if delay else (READY, 0.0)
                job.returned = delay > 0
                job.token, job.attempts = None, job.attempts - (0 if died else 1)
                if died:
                    job.deaths, job.died = job.deaths + 1, self.moment.awake
            replies.append(Reply.LOST if job is None else Reply.OK)
        return replies

    def late(self, sink: str) -> list[Delivery]:
        """List the outcomes that a sink should have acknowledged by now, in the order of their times."""
        self._drop_unfetched()
        late = [each for (owed, each), (until, _) in self.outbox.items() if owed == sink and until <= self.moment.awake]
        return sorted(late, key=lambda delivery: self.outbox[sink, delivery][0])

    def defer(self, sink: str, deliveries: Iterable[Delivery], seconds: float) -> None:
        """Hand outcomes out at another time."""
        self._drop_unfetched()
        for delivery in deliveries:
            if (sink, delivery) in self.outbox:
                self.postpone(sink, delivery, seconds)

    def postpone(self, sink: str, delivery: Delivery, lease: float) -> Kept:
        """Hand an outcome out."""
        self.outbox[sink, delivery] = self.moment.awake + lease, self.outbox[sink, delivery][1]
        return Kept(delivery, self.outbox[sink, delivery][1])

    def acknowledge(self, sink: str, deliveries: Iterable[Delivery], position: Position | None = None) -> Reply:
        """Forget that a sink is to have outcomes, and remember how far it has come."""
        self._drop_unfetched()
        owed = {(sink, delivery) for delivery in deliveries}
        lost = not owed <= self.outbox.keys()
        if lost and position is not None:
            return Reply.ALREADY if self.slots.get((sink, position.slot)) == position.value else Reply.LOST
        for each in owed & self.outbox.keys():
            del self.outbox[each]
        if lost:
            return Reply.LOST
        if position is not None:
            self.slots[sink, position.slot] = position.value
        return Reply.OK

    def positions(self, sink: str) -> dict[str, str]:
        """Return how far a sink has come."""
        return {slot: value for (name, slot), value in self.slots.items() if name == sink}

    def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL."""
        return self.pages.get((platform, url))

    def hasten(self, ids: Collection[str] | None) -> int:
        """Make delayed jobs that recur ready now."""
        found = [job for job in self._delayed() if job.cadence is not None and (ids is None or job.id in ids)]
        for job in found:
            self._arrive(job)
        return len(found)

    def lock(self, name: str, owner: str, lease: float) -> bool:
        """Take a lock."""
        holder, until = self.locks.get(name, (owner, 0.0))
        if holder != owner and until > self.moment.awake:
            return False
        self.locks[name] = owner, self.moment.awake + lease
        return True

    def unlock(self, name: str, owner: str) -> None:
        """Give a lock back."""
        if name in self.locks and self.locks[name][0] == owner:
            del self.locks[name]

    def share(self, owner: str, share_requests: Mapping[str, ShareRequest], lease: float) -> dict[str, ShareGrant]:
        """Say what an engine may do on platforms."""
        shares = {name: self.shares.setdefault(name, ModelShare()) for name in share_requests}
        return {name: shares[name].grant(owner, it, lease, self.moment) for name, it in share_requests.items()}

    def restart(self, asleep: float) -> None:
        """Go on after a reboot: whoever had anything in hand is gone.

        Args:
            asleep: how far `now` was ahead of `awake` before.
        """
        self._lapse(math.inf)
        for job in self.rows.values():
            job.deaths = 0
        self.locks.clear()
        moved, awake = asleep - self.moment.asleep, self.moment.awake
        self.outbox = {each: (min(until + moved, awake), outcome) for each, (until, outcome) in self.outbox.items()}
        for share in self.shares.values():
            share.count(math.inf)
            share.holds.clear()
            share.tats = {interval: tat + moved for interval, tat in share.tats.items()}
            share.closed_until = None if share.closed_until is None else share.closed_until + moved

    def die(self, running: Collection[int]) -> None:
        """Free all that is held: the only process is dead.

        Args:
            running: the tokens of the jobs whose scrapers ran.
        """
        ran = [job for job in self.rows.values() if job.status is LEASED and job.token in running]
        alone = len([job for job in ran if job.suspect]) == 1
        for job in ran:
            job.deaths = 1 if not job.deaths else job.deaths + (alone and job.suspect)
            job.died = self.moment.awake
        self._lapse(math.inf)
        self.began = awake = self.moment.awake
        self.locks.clear()
        self.outbox = {delivery: (min(until, awake), outcome) for delivery, (until, outcome) in self.outbox.items()}
        for share in self.shares.values():
            share.holds = {name: (hold, min(until, awake)) for name, (hold, until) in share.holds.items()}

    # -- its own

    def _next(self) -> int:
        self._turn += 1
        return self._turn

    def _drop_unfetched(self) -> None:
        gone = self.moment.awake - max(self.policy.keep, 60.0)
        self.outbox = {each: kept for each, kept in self.outbox.items() if kept[0] > gone}

    def _known(self, platform: str, id: str) -> ModelJob | None:
        job = self.rows.get((platform, id))
        return job if job is not None and job.expires > self.moment.now else None

    def _held(self, ticket: Ticket) -> ModelJob | None:
        job = self.rows.get((ticket.platform, ticket.id))
        good = job is not None and job.status is LEASED and job.token == ticket.token
        return job if job is not None and good and job.due > self.moment.awake else None

    def _queue(self, platform: str) -> list[ModelJob]:
        ready = [job for job in self.rows.values() if job.platform == platform and job.status is READY]
        return sorted(ready, key=lambda job: (-job.priority, job.turn))

    def _delayed(self) -> list[ModelJob]:
        found = [job for job in self.rows.values() if job.status is DELAYED]
        return sorted(found, key=lambda job: (job.due, job.turn))

    def _makes_one_more(self, job: NewJob) -> bool:
        it = self._known(job.platform, job.id)
        return it is None or it.status in {FAILED, CANCELLED} or (job.cadence is not None and not it.status.pending)

    def _crawling(self) -> bool:
        return any(job.followed and job.status.pending for job in self.rows.values())

    def _follow(self, job: NewJob, *, going: bool) -> None:
        name = (job.platform, job.id)
        before = self.rows.get(name)
        if self._known(*name) is not None:
            self.rows[name].followed = True
        elif not going or not (name in self.seen or (before is not None and before.followed)):
            self._begin(job)
            self.rows[name].followed = True

    def _begin(self, job: NewJob, accepted: int | None = None) -> None:
        now = self.moment.now
        before = self.rows.get((job.platform, job.id))
        it = ModelJob(job.platform, job.id, job.payload, job.priority, job.cadence, now, self._next())
        it.accepted, it.followed = accepted, before is not None and before.followed
        if job.delay:
            it.status, it.due = DELAYED, now + job.delay
        self.rows[job.platform, job.id] = it

    def _change_cadence(self, it: ModelJob, job: NewJob) -> None:
        before, it.cadence, now = it.cadence, job.cadence, self.moment.now
        latest = None if job.interval is None or it.finished is None else it.finished + job.interval
        if not it.status.pending:
            it.status, it.due, it.attempts, it.free, it.expires = DELAYED, now, 0, math.inf, math.inf
            self._put_off(it, max(now + job.delay, latest or now), now + job.delay)
        elif before != job.cadence and it.status is LEASED:
            it.within = job.interval
        elif before in {None, job.cadence} or it.status is not DELAYED or it.returned:
            return
        elif latest is not None and latest < it.due:
            self._put_off(it, max(now, latest), now)

    def _replace(self, it: ModelJob, job: NewJob) -> None:
        it.payload, it.priority = job.payload, job.priority
        if job.delay:
            it.status, it.due, it.turn, it.returned = DELAYED, self.moment.now + job.delay, self._next(), False
        elif it.status is DELAYED:
            self._arrive(it)

    def _put_off(self, it: ModelJob, due: float, soonest: float) -> None:
        if due <= self.moment.now:
            self._arrive(it)
        else:
            it.due, it.turn = self._apart(it, due, soonest, due), self._next()

    def _apart(self, it: ModelJob, due: float, soonest: float, latest: float) -> float:
        taken = {other.due for other in self._delayed() if other.platform == it.platform}
        for step in (0.001, -0.001) if due in taken else ():
            at = due + step
            while at in taken and soonest <= at <= latest:
                at += step
            if soonest <= at <= latest:
                return at
        return due

    def _lapse(self, at: float) -> None:
        for job in self.rows.values():
            if job.status is LEASED and job.due <= at:
                job.status, job.token = READY, None

    def _promote(self, until: float) -> None:
        self._lapse(self.moment.awake)
        for job in self._delayed():
            if job.due <= min(until, self.moment.now):
                self._arrive(job)

    def _arrive(self, job: ModelJob) -> None:
        job.status, job.turn, job.returned = READY, self._next(), False

    def _meant(
        self, platform: str | None, ids: Collection[str] | None, events: Collection[Event] | None
    ) -> list[ModelJob]:
        if events is not None:
            named = [(name, event.id) for event in events for name in event.platforms or (None,)]
        else:
            named = [(None, each) for each in ids or ()]
        rest = [job for name, job in sorted(self.rows.items()) if self._known(*name)]
        rest = [job for job in rest if platform in {None, job.platform}]
        if ids is None and events is None:
            return rest
        found = [job for name, each in named for job in rest if job.id == each and name in {None, job.platform}]
        return list(dict.fromkeys(found))

    def _end(self, job: ModelJob, status: JobStatus, keep: float) -> None:
        now = self.moment.now
        job.status, job.token, job.finished, job.deaths = status, None, now, 0
        job.free, job.expires = now + keep, now + max(keep, self.policy.keep)

    def _forget(self) -> None:
        going = self._crawling()
        if not going:
            self.seen.clear()
        gone = [job for job in self.rows.values() if job.expires <= self.moment.now]
        ended = [job for job in self.rows.values() if not job.status.pending and job.expires > self.moment.now]
        droppable = sorted((job for job in ended if job.free <= self.moment.now), key=lambda job: (job.free, job.turn))
        for job in gone + droppable[: max(0, len(ended) - self.policy.max_kept)]:
            del self.rows[job.platform, job.id]
            if going and job.followed:
                self.seen.add((job.platform, job.id))

    def _complete(self, completion: Completion, *, going: bool) -> Reply:
        ticket = completion.ticket
        job = self._known(ticket.platform, ticket.id)
        if job is None:
            return Reply.LOST
        if job.accepted == ticket.token:
            return Reply.ALREADY
        if self._held(ticket) is None:
            return Reply.LOST
        job.result, job.error, job.history = completion.result, completion.error, completion.history
        job.accepted = ticket.token
        if job.cadence is None or completion.ends:
            self._end(job, completion.status, completion.keep)
        else:
            self._recur(job, completion.again or 0.0, completion.between)
        for each in completion.follow_ups:
            self._follow(each, going=going)
        for url, validator in completion.validators.items():
            self.pages.pop((ticket.platform, url), None)
            if validator is not None:
                self.pages[ticket.platform, url] = validator
        if completion.outcome is not None:
            for sink in completion.sinks:
                self.outbox[sink, Delivery(*ticket)] = self.moment.awake + completion.deliver, completion.outcome
        return Reply.OK

    def _recur(self, job: ModelJob, again: float, between: tuple[float, float] | None) -> None:
        within, (least, most) = math.inf if job.within is None else job.within, between or (again, math.inf)
        due, soonest, latest = (self.moment.now + min(each, within) for each in (again, least, most))
        due = self._apart(job, due, soonest, latest)
        job.status, job.due, job.turn, job.token = DELAYED, due, self._next(), None
        job.within, job.deaths = None, 0
        job.attempts, job.finished = 0, self.moment.now

    def _shown(self, job: ModelJob) -> StoredJob:
        due = {DELAYED: job.due, LEASED: self.moment.by_now(job.due)}.get(job.status)
        return StoredJob(
            platform=job.platform,
            id=job.id,
            status=job.status,
            payload=job.payload,
            priority=job.priority,
            attempts=job.attempts,
            enqueued=self.moment.shown(job.enqueued),
            due=None if due is None else self.moment.shown(due),
            finished=None if job.finished is None else self.moment.shown(job.finished),
            result=job.result,
            error=job.error,
            recurs=job.cadence is not None,
        )
