"""The jobs of a store that a run has in hand: their leases are renewed, and what is lost is let go.

A lease is renewed after a third of its time. Whether that works or not, its end is known here too, counted from when
it was asked for, and so never later than the store has it: the task is cancelled then, for the job may be another's.

Both wait in scopes whose deadlines are moved: nobody is woken for a job that is taken, nor while none is in hand. Where
jobs come one by one, as those that recur do, that would be a fourth of all turns of the loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import attrs
import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.errors import StoreError
from scrapeengine.model.job import Claimed, NewJob, Reply, Ticket
from scrapeengine.model.store import Store
from scrapeengine.model.validators import Validator
from scrapeengine.schedule.lane import TaskRecord
from scrapeengine.served.trouble import Trouble
from scrapeengine.served.writer import Writer
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Held", "LeaseHost", "Leaseholder", "Leases"]


@attrs.define(eq=False, repr=False)
class Leaseholder:
    """A run, as a store knows it."""

    store: Store
    owner: str
    """The name of the run there."""
    lease: float
    """The seconds for which it is given what it asks for."""
    trouble: Trouble
    """Says what cannot be asked."""
    _before: float = attrs.field(default=math.inf, init=False)
    """The lease before it was changed."""
    _settled_at: float = attrs.field(default=-math.inf, init=False)
    """When nothing is on its way any more that was asked for by that."""

    def change(self, lease: float) -> None:
        """Ask for so many seconds from now on."""
        self._before, self._settled_at = self.lease, trio.current_time() + self.lease
        self.lease = lease

    def third(self) -> float:
        """Return after how many seconds to renew: a third of the lease, and of the one before where that is shorter.

        That for as long as it lasts: what was asked for by it may come only after the change.
        """
        return (min(self.lease, self._before) if trio.current_time() < self._settled_at else self.lease) / 3

    def shift(self) -> float:
        """Return what to add to a time of the run's clock to get the store's, as both stand now."""
        return self.store.now() - trio.current_time()


@attrs.define(eq=False, repr=False)
class Held:
    """One job in hand."""

    claimed: Claimed
    job: Job
    until: float
    """When its lease ends, in trio's time."""
    task: TaskRecord | None = attrs.field(default=None, init=False)
    """The task that works on it; None while it waits."""
    lost: bool = attrs.field(default=False, init=False)
    """Whether its lease has ended."""
    follow_ups: dict[str, dict[str, NewJob]] = attrs.field(factory=dict, init=False)
    """The jobs that its task has followed, by the events' ids and the platforms."""
    validators: dict[str, Validator | None] = attrs.field(factory=dict, init=False)
    """Validators that its task has found."""

    @property
    def ticket(self) -> Ticket:
        """Its lease."""
        return self.claimed.ticket


class LeaseHost(Protocol):
    """Hears what becomes of leases."""

    def lose(self, held: Held) -> None:
        """Let go of a job whose lease has ended; it may be another's."""
        ...

    def renewed(self, jobs: int) -> None:
        """Hear that so many leases were renewed."""
        ...


@uninterrupted
class Leases:
    """The jobs in hand, from their claim to the end of their tasks."""

    def __init__(self, holder: Leaseholder, writer: Writer) -> None:
        """Make an empty one.

        Args:
            holder: the run, as the store of the jobs knows it.
            writer: has the leases of tasks that have ended, which the store does not know yet.
        """
        self._holder = holder
        self._writer = writer
        self._held: dict[Job, Held] = {}
        self._renewal = trio.CancelScope()
        """Ends when leases are renewed next; never, while nothing is in hand."""
        self._end = trio.CancelScope()
        """Ends when it is seen next which leases have ended: no later than the first of them."""

    def __len__(self) -> int:
        """Count them."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """Walk through them."""
        return iter(list(self._held.values()))

    def take(self, claimed: Claimed, job: Job, until: float) -> Held:
        """Take a job whose lease ends at a time."""
        held = self._held[job] = Held(claimed, job, until)
        # Asked before they are set: to set a deadline costs, even to what it is.
        if self._renewal.deadline == math.inf:
            self._renewal.deadline = until - 2 * self._holder.third()
        if until < self._end.deadline:  # noqa: PLR1730 - as above
            self._end.deadline = until
        return held

    def of(self, job: Job) -> Held:
        """Return what is known of a job in hand."""
        return self._held[job]

    def drop(self, job: Job) -> Held:
        """Let a job go, whose task has ended or never began."""
        return self._held.pop(job)

    def rest(self) -> None:
        """Look at nothing more, if nothing is in hand and the store knows of all that has ended."""
        if not (self._held or self._writer.waiting):
            self._renewal.deadline = self._end.deadline = math.inf

    def renew_now(self) -> None:
        """Renew all leases at once, for they are to be as long as a lease is by now."""
        if self._renewal.deadline < math.inf:
            self._renewal.deadline = trio.current_time()

    async def renew(self, host: LeaseHost) -> None:
        """Renew all leases whenever a third of their time has passed, for ever. Checkpoint."""
        lease = self._holder.lease
        while True:
            at_work = self._held or self._writer.waiting
            # At once where it was changed while the store was asked.
            after = 0.0 if lease != self._holder.lease else self._holder.third()
            self._renewal = trio.CancelScope(deadline=trio.current_time() + after if at_work else math.inf)
            with self._renewal:
                await trio.sleep_forever()
            lease = self._holder.lease
            until, held = trio.current_time() + lease, [each for each in self if not each.lost]
            for each in held:  # before it is asked: a lease that was cut short is so, though the answer be lost
                each.until = min(each.until, until)
            if held and until < self._end.deadline:
                self._end.deadline = until
            tickets = [*(each.ticket for each in held), *self._writer.tickets()]
            if not tickets:
                continue
            try:
                replies = await self._holder.store.renew(tickets, lease)
            except StoreError as error:
                self._holder.trouble.say("leases could not be renewed", error, jobs=len(held))
                continue  # their ends are known here, and `watch` lets go what was not renewed in time
            # The replies behind these are for tasks that have ended, and the writer will hear the same of them.
            for each, reply in zip(held, replies, strict=False):
                if reply is Reply.LOST:
                    self._let_go(each, host)
                else:
                    each.until = until
            host.renewed(sum(reply is not Reply.LOST for reply in replies))

    async def watch(self, host: LeaseHost) -> None:
        """Let go what is in hand at the end of its lease, for ever. Checkpoint."""
        while True:
            now = trio.current_time()
            for each in self:
                if each.until <= now:
                    self._let_go(each, host)
            ends = (each.until for each in self._held.values() if not each.lost)
            self._end = trio.CancelScope(deadline=min(ends, default=math.inf))
            with self._end:
                await trio.sleep_forever()

    def _let_go(self, held: Held, host: LeaseHost) -> None:
        if not held.lost and held.job in self._held:
            held.lost = True
            host.lose(held)

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Leases {len(self._held)} held, for {self._holder.lease:g} s>"
