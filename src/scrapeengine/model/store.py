"""The protocol of stores, in which jobs live: all that an engine asks of one.

A store is a queue for each platform, with leases. Its promises:

- What a call has returned, has happened, and survives whatever the store says that it survives. A call that is
  cancelled, or fails, has happened whole or not at all.
- A job is in one hand at a time. A lease ends at its time, and with it the right to complete the job: what comes later
  is `LOST`, whether or not somebody else has the job by then. Each result is accepted once.
- What a process has taken is free, within a second, once the store can see that it has died; where it cannot, when the
  lease is over. A job whose scraper ran then is a suspect: of these one is handed out at a time, in all engines, until
  its task has ended, and after four deaths it is handed out to be ended (`Claimed.deaths`, `decide.poison`).
- A job of which the store sees that it is not what was written is handed out to be ended too (`Claimed.damage`), and
  takes no other with it.
- No call holds a lock, a transaction or a connection when it has returned.

All calls are checkpoints. Times that go in are spans from now; those that come out are Unix times as `now` has them.
What was given for a span lasts for that, by a clock that nobody can set, whatever becomes of Unix time meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from scrapeengine.model.event import Event
from scrapeengine.model.job import (
    Claimed,
    Completion,
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

__all__ = ["Starts", "Store"]


class Starts(Protocol):
    """Told at once whose scrapers run in this process, so that who comes after its death knows. No checkpoints."""

    def begin(self, token: int) -> None:
        """Hear that a scraper begins to work on the job that is leased by this token."""
        ...

    def end(self, token: int) -> None:
        """Hear that it has ended; of others nothing is to be done."""
        ...


class Store(Protocol):
    """A store of jobs. Any call may raise `StoreError`, and then has changed nothing.

    Arguments need not be checked, for `scrapeengine.stores.CheckedStore` does it for all stores;
    `scrapeengine.testing.stores` has the tests that a store should pass.

    Size: an engine needs all calls but those that programs ask for, so a store with a part of them is of no use.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same jobs; then engines agree on limits and rates by `share`."""
        ...

    @property
    def closings(self) -> int:
        """How often platforms were closed, reopened, paused or resumed here by hand; at first, whether any is paused.

        While it is 0 engines need not ask about that. Where they share the store they hear of it by `share`, and this
        may stay 0.
        """
        ...

    @property
    def starts(self) -> Starts | None:
        """Who is to be told which scrapers run; None: nobody outlives the process, or the store cannot see deaths."""
        ...

    def now(self) -> float:
        """Return the Unix time by the store's clock. Where somebody sets the machine's, it follows at the next call."""
        ...

    # -- what programs ask for

    async def enqueue(self, jobs: Sequence[NewJob], *, replace: bool = False) -> list[Known]:
        """Add jobs, all or none; any number, without keeping others waiting.

        One that has failed, or was cancelled, runs again, as a new one. One that is pending, or is done or was skipped
        and is still known, is left as it is, but for its cadence if one is given.

        Args:
            jobs: the jobs. Follow-ups of completions are taken otherwise: what is known is left, failed or not.
            replace: whether those that are pending get the new payload, priority and due time; not while they are
                leased.

        Raises:
            StoreFull: there is no room, and the store was told to raise, or there never will be.
        """
        ...

    async def get(self, platform: str, id: str) -> StoredJob | None:
        """Return a job as it is now; None if it is not known."""
        ...

    async def cancel(self, platform: str, id: str) -> bool:
        """Call a pending job off; what recurs, for good. False if none is pending.

        Whoever has it in hand has lost it.
        """
        ...

    async def position(self, platform: str, id: str) -> int | None:
        """Return how many ready jobs of the platform are claimed before this one; None if it is not ready."""
        ...

    async def stats(self) -> dict[str, QueueStatistics]:
        """Count the jobs of each platform that has any, or that is paused or closed; and say so of those."""
        ...

    async def jobs(
        self,
        *,
        platform: str | None = None,
        status: JobStatus | Collection[JobStatus] | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[StoredJob]:
        """List jobs by platform and id, a page at a time.

        What stays as it is while pages are read is in one of them, once, whatever comes and goes meanwhile.

        Args:
            platform: of this platform only.
            status: with this status only, or with one of several.
            after: the `key` of the last job of the page before; None: from the beginning.
            limit: the most jobs of the page, 1,000 at most. One that has fewer is the last.
        """
        ...

    async def retry(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """Run failed and cancelled jobs again, as they were enqueued, at once; return how many.

        They stand in the queue as if they came now, beyond `max_pending` too. Many are done in parts, each of which
        happens whole: if the call is cancelled, or fails, some may run again.

        Args:
            platform: those of this platform only; its name, or a host as `scrapeengine.host_of` gives it.
            ids: those with these ids only, on the platform, or on any.
            events: those of these events only, on the platforms that they name, or on any; not with `ids`.
        """
        ...

    async def forget(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """Forget jobs that have ended, so that their ids are new again; return how many.

        Takes what `retry` takes, and does it in parts too. Outcomes that sinks have not had are still delivered.
        """
        ...

    async def close(self, platform: str, seconds: float) -> None:
        """Close a platform for so long, at least, from now: no request to it starts meanwhile.

        Engines that share the store (`shared`) hear of it within half a second, others within a quarter.
        """
        ...

    async def reopen(self, platform: str) -> None:
        """End the penalty of a platform, whoever has made it; heard of as `close` is.

        Jobs that were given back until its end are ready at once.
        """
        ...

    async def pause(self, platform: str) -> None:
        """Let no task of a platform start, in any engine on the store, until `resume`; it is kept with the jobs.

        What runs goes on. Engines that serve the store hear of it within a quarter of a second, and of `resume` too.
        """
        ...

    async def resume(self, platform: str) -> None:
        """End a `pause`. What an engine has paused for itself, by a limit of 0, stays so."""
        ...

    # -- what an engine asks for

    async def due(self, until: float | None = None) -> list[str]:
        """Make ready what is due, and what a lease has ended of; return the platforms that have ready jobs.

        Args:
            until: what is delayed beyond this Unix time, as `now` has it, stays so, even if it is due by now. None: all
                that is due.
        """
        ...

    async def claim(
        self, platform: str, n: int, owner: str, lease: float, *, ids: Collection[str] | None = None
    ) -> list[Claimed]:
        """Lease up to `n` ready jobs for `lease` seconds, the most urgent first; of `ids` only, if they are given."""
        ...

    async def renew(self, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
        """Let leases end in `lease` seconds from now: `OK` or `LOST` for each."""
        ...

    async def complete(self, completions: Sequence[Completion]) -> list[Reply]:
        """End jobs, each with all that belongs to it; a `Reply` for each. One that is `LOST` takes no other with it."""
        ...

    async def release(self, tickets: Sequence[Ticket], delay: float = 0.0, *, died: bool = False) -> list[Reply]:
        """Give jobs back, as if they had not been claimed: `OK` or `LOST` for each.

        Args:
            tickets: the leases.
            delay: seconds until they are ready again; 0: at once, where they stood in the queue.
            died: whether the scraper of each ends the process: that counts as a death of which it is the sole cause.
        """
        ...

    async def undelivered(self, sink: str, n: int, lease: float) -> list[Kept]:
        """Hand out up to `n` outcomes that a sink should have acknowledged by now; not again for `lease` seconds."""
        ...

    async def defer(self, sink: str, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Hand outcomes of a sink out that far from now, and no sooner, unless it acknowledges them; 0: at once.

        So who delivers for longer than it thought keeps them, and who cannot deliver gives them back. What is not there
        is left out.
        """
        ...

    async def acknowledge(self, sink: str, deliveries: Sequence[Delivery], position: Position | None = None) -> Reply:
        """Forget that a sink is to have outcomes, and keep how far it has come, in one step.

        Args:
            sink: its name. What others are to have they acknowledge themselves.
            deliveries: the outcomes.
            position: how far it has come with them; None: nothing is kept of that.

        Returns:
            `OK`: done. `ALREADY`: done before, with this position. `LOST`: the sink has had one of them before, or
            never was to have it, in whatever process. Without a position the others are forgotten. With one nothing was
            changed, and what was written of all of them since the last position does not count.
        """
        ...

    async def positions(self, sink: str) -> dict[str, str]:
        """Return how far a sink has come in each of its slots."""
        ...

    async def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL, or None."""
        ...

    async def hasten(self, ids: Collection[str] | None = None) -> int:
        """Make delayed jobs that recur ready now: those with these ids, or all. Returns how many."""
        ...

    async def lock(self, name: str, owner: str, lease: float) -> bool:
        """Take a lock for `lease` seconds, or keep it for as long from now; false if it is another's."""
        ...

    async def unlock(self, name: str, owner: str) -> None:
        """Give a lock back; if it is another's, nothing happens."""
        ...

    async def share(
        self, owner: str, share_requests: Mapping[str, ShareRequest], lease: float
    ) -> dict[str, ShareGrant]:
        """Say what an engine may do on platforms that it shares with the other engines on this store.

        What it was given of slots before and does not request for any more is free for others, but for what it holds. A
        request with nothing wanted and nothing held gives all back. Decided by `scrapeengine.decide.share`, in pure
        functions that any store can call.
        """
        ...

    async def wait(self, at_most: float) -> None:
        """Sleep until something may be ready, a call of this object has changed something, or `at_most` seconds."""
        ...
