"""Tables, as the rules of a store need them. All of it is synchronous, and one call at a time.

Tables count and sort; they decide nothing. A rule happens whole or not at all: on a file because the
rule runs in a savepoint, in memory because a rule raises before it has changed anything.

Times are the store's own (`moment`): by `now` those of jobs but for the ends of leases, by `awake` all others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from scrapeengine.model.job import Content, Delivery, JobStatus, Kept, NewJob, Ticket
from scrapeengine.model.sink import Position
from scrapeengine.model.validators import Validator
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.rows import Marks, Row, Texts

__all__ = [
    "Batch",
    "Death",
    "JobTable",
    "OutboxTable",
    "PageTable",
    "SeenTable",
    "SharedGate",
    "SharingTable",
    "StagingTable",
    "Stake",
    "Tables",
]


class JobTable(Protocol):
    """The jobs, and all orders in which they are asked for.

    Size: a method for each question that a rule asks; all orders change with each change of a job.
    """

    def find(self, platform: str, id: str) -> Row | None:
        """Return a job, expired or not."""
        ...

    def add(self, row: Row, texts: Texts) -> None:
        """Put down a job that is not there."""
        ...

    def change(self, row: Row, **values: Any) -> None:
        """Set fields of a job that is there, in the row too."""
        ...

    def drop(self, row: Row) -> None:
        """Forget a job."""
        ...

    def texts(self, row: Row) -> Texts:
        """Return the texts of a job."""
        ...

    def write(self, row: Row, result: Content | None, error: str | None, history: str | None) -> None:
        """Replace the texts of a job but for its payload."""
        ...

    def rewrite(self, row: Row, payload: str) -> None:
        """Replace the payload of a job."""
        ...

    def ready(self, platform: str, n: int) -> list[Row]:
        """List the first `n` ready jobs of a platform that are no suspects."""
        ...

    def suspects(self) -> int:
        """Count the pending suspects (`decide.poison`); costs nothing where there is none."""
        ...

    def suspected(self, platform: str | None) -> Row | None:
        """Return the ready suspect of a platform, or of all, that is tried next: by its deaths, then its place."""
        ...

    def died(self, after: float) -> float | None:
        """Return when the first death was after a time that counts against a suspect that is ready."""
        ...

    def is_tried(self) -> bool:
        """Say whether any suspect is leased."""
        ...

    def pardon(self) -> None:
        """Count no death against any job any more."""
        ...

    def held(self, opening: int) -> list[Row]:
        """List the jobs that are leased through an opening of the store."""
        ...

    def leased(self, ticket: Ticket) -> Row | None:
        """Return the job that is under a lease; asked where its name has not led to it.

        That another one holds it by now is the usual reason, and the answer None. Else the way by names is damaged, and
        is repaired as far as it can be.
        """
        ...

    def before(self, row: Row) -> int:
        """Count the ready jobs of a platform that come before a ready one."""
        ...

    def listed(
        self, statuses: Collection[JobStatus], platform: str | None, after: tuple[str, str] | None, n: int
    ) -> list[Row]:
        """List the first `n` jobs with one of these statuses behind a platform and id, in the order of both.

        Those that are not known any more are among them.
        """
        ...

    def returned(self, platform: str) -> list[Row]:
        """List the delayed jobs of a platform that somebody has given back, as they will become due."""
        ...

    def due(self, at: float, n: int) -> list[Row]:
        """List up to `n` delayed jobs that are due at a time, as they have become due."""
        ...

    def lapsed(self, at: float, n: int) -> list[Row]:
        """List up to `n` jobs whose leases have ended by a time."""
        ...

    def recurring(self, ids: Collection[str] | None) -> list[Row]:
        """List the delayed jobs that recur, those with these ids or all, as they will become due."""
        ...

    def delayed_at(self, platform: str, due: float) -> bool:
        """Say whether a delayed job of a platform is due at exactly this time."""
        ...

    def expired(self, now: float, n: int) -> list[Row]:
        """List up to `n` jobs that are not known any more, the oldest first."""
        ...

    def droppable(self, now: float, n: int) -> list[Row]:
        """List up to `n` ended jobs that may be dropped to make room, the oldest first."""
        ...

    def counts(self) -> Mapping[str, Mapping[JobStatus, int]]:
        """Count the jobs of each platform by status; what is 0 may be left out."""
        ...

    def recur(self) -> Mapping[str, int]:
        """Count the pending jobs that recur, for the platforms that have any."""
        ...

    def platforms(self, status: JobStatus) -> Collection[str]:
        """Name the platforms that have jobs of a status."""
        ...

    def total(self, *, pending: bool) -> int:
        """Count the jobs that are pending, or those that are not."""
        ...

    def crawling(self) -> int:
        """Count the pending jobs that a task has led to."""
        ...

    def oldest(self, platform: str) -> float | None:
        """Return when the ready job of a platform that was enqueued first was enqueued."""
        ...

    def next_time(self, asleep: float) -> float | None:
        """Return when, by `awake`, the next delayed job is due or the next lease ends, whichever comes first.

        Args:
            asleep: how far `now`, by which jobs are due, is ahead of that.
        """
        ...

    def next_seq(self) -> int:
        """Take an arrival number."""
        ...

    def next_token(self) -> int:
        """Take a token that nobody has ever had."""
        ...


class PageTable(Protocol):
    """Validators by URL."""

    def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL."""
        ...

    def remember(self, platform: str, url: str, validator: Validator, most: int) -> None:
        """Keep it, as the latest, and of all of them the latest `most`."""
        ...

    def forget(self, platform: str, url: str) -> None:
        """Forget what is known of a URL, if anything is."""
        ...


class SeenTable(Protocol):
    """Ids of jobs that are forgotten, and which no task leads to again while the crawl goes on."""

    def has(self, platform: str, id: str) -> bool:
        """Say whether the crawl has seen an id."""
        ...

    def add(self, platform: str, id: str) -> None:
        """Note that it has."""
        ...

    def turn(self, n: int) -> None:
        """Let nothing be seen any more, for the crawl is over; clear up to `n` ids of earlier ones away."""
        ...


class OutboxTable(Protocol):
    """Outcomes that wait to be acknowledged by sinks, and how far each of these has come.

    An outcome is kept once for each sink that is to have it, so that each has a time of its own.
    """

    def put(self, sink: str, kept: Kept, until: float, opening: int | None) -> None:
        """Keep an outcome for a sink; until then it is the business of who has put it there through an opening."""
        ...

    def late(self, sink: str, now: float, gone: float, n: int) -> list[Kept]:
        """List up to `n` outcomes whose time has come, but not by the time `gone`, in the order of their times."""
        ...

    def release(self, seconds: float, until: float) -> None:
        """Move the times of all of them by some seconds, and to `until` at the latest."""
        ...

    def free(self, opening: int, until: float) -> None:
        """Let those that an opening has for longer be nobody's business until then."""
        ...

    def postpone(self, sink: str, delivery: Delivery, until: float, gone: float, opening: int | None) -> None:
        """Let it be an opening's business until then, if it is there, and its time has not come by the time `gone`."""
        ...

    def clear(self, gone: float, n: int) -> None:
        """Forget up to `n` outcomes whose time had come by the time `gone`."""
        ...

    def take(self, sink: str, deliveries: Collection[Delivery], gone: float, *, whole: bool) -> bool:
        """Forget that a sink is to have outcomes whose time has not come by the time `gone`.

        False if one of them is not there; the others are forgotten. If that is to be `whole` the rule raises then, and
        what cannot be taken back by that is not forgotten.
        """
        ...

    def move(self, sink: str, position: Position) -> None:
        """Write down how far a sink has come in a slot."""
        ...

    def positions(self, sink: str) -> dict[str, str]:
        """Return how far a sink has come, by slot."""
        ...


class Stake(NamedTuple):
    """The slots of one engine on a platform, and its wants."""

    owner: str
    slots: int
    """What it was granted when it asked last; what it held then may be more."""
    wanted: int
    held: int
    served: float
    """When it last asked and had a slot."""
    until: float
    """When it is void."""
    times: tuple[float, ...] = ()
    """The start times that are reserved for it, in order, as of when it asked last."""
    opening: int | None = None
    """The opening of the store through which it asked."""


class SharedGate(NamedTuple):
    """The rates and the penalty of a platform, for all engines."""

    tats: tuple[tuple[float, float], ...] = ()
    """The theoretical arrival times, after all start times before `counted`, of the rates at which times were reserved
    last, each with the seconds between two requests before it; empty: no times were reserved so far."""
    closed_until: float | None = None
    counted: float = -math.inf
    """The start times that are reserved and before this are in `tats`, the others in the stakes."""
    openings: int = 0
    """How often it was reopened by hand."""
    paused: bool = False
    """Whether no task is to start there."""

    def moved(self, seconds: float) -> SharedGate:
        """Return it as it is by a clock that shows so many seconds more."""
        tats = tuple((interval, tat + seconds) for interval, tat in self.tats)
        closed = None if self.closed_until is None else self.closed_until + seconds
        return self._replace(tats=tats, closed_until=closed, counted=self.counted + seconds)


class SharingTable(Protocol):
    """Locks, and the shares of engines."""

    def holder(self, name: str) -> tuple[str, float] | None:
        """Return who holds a lock, and until when."""
        ...

    def lock(self, name: str, owner: str, until: float, opening: int | None) -> None:
        """Give a lock to somebody, whosever it was."""
        ...

    def free(self, opening: int) -> None:
        """Take away all locks that were taken through an opening."""
        ...

    def unlock(self, name: str) -> None:
        """Take a lock away."""
        ...

    def void(self, now: float) -> None:
        """Take away all locks whose leases have ended."""
        ...

    def stakes(self, platform: str) -> list[Stake]:
        """List what engines have of a platform, by owner."""
        ...

    def set_stake(self, platform: str, stake: Stake) -> None:
        """Write down what an engine has of a platform."""
        ...

    def staked(self) -> list[str]:
        """List the platforms of which engines have something."""
        ...

    def drop_stake(self, platform: str, owner: str) -> None:
        """Forget what an engine had of a platform."""
        ...

    def gate(self, platform: str) -> SharedGate:
        """Return what is known of a platform; at first, that it is open and has had no request."""
        ...

    def set_gate(self, platform: str, gate: SharedGate) -> None:
        """Write down what is known of a platform."""
        ...

    def shut(self, now: float) -> dict[str, SharedGate]:
        """Return what is known of the platforms that are paused, or closed at a time."""
        ...

    def restart(self, seconds: float) -> None:
        """Take away all locks, and all that engines have; move the times of all gates by some seconds."""
        ...


class Batch(NamedTuple):
    """A large number of jobs that are enqueued in parts."""

    number: int
    until: float
    """When, by `awake`, its owner is taken for dead."""
    taken: float | None = None
    """When, by `now`, all of them were taken: from then on they are jobs. None: they are none yet."""
    replace: bool = False


class StagingTable(Protocol):
    """Jobs that are on their way in."""

    def batch(self, number: int) -> Batch | None:
        """Return a batch, if it is there."""
        ...

    def batches(self) -> list[Batch]:
        """List all batches; costs nothing where there is none."""
        ...

    def set_batch(self, batch: Batch) -> None:
        """Write down how it is with a batch."""
        ...

    def drop_batch(self, number: int) -> None:
        """Forget a batch, of which no job is left."""
        ...

    def put(self, number: int, first: int, jobs: Sequence[NewJob]) -> None:
        """Add jobs of a batch, which stand in it from a place on."""
        ...

    def take(self, number: int, first: int, n: int) -> dict[int, NewJob]:
        """Take out the jobs at `n` places of a batch, those that are there, each with its place."""
        ...

    def take_first(self, number: int, n: int, size: int) -> dict[int, NewJob]:
        """Take out the first jobs of a batch, each with its place: none only if none is left.

        Args:
            number: the batch's.
            n: how many at most.
            size: the characters of their payloads together, at which no more are taken.
        """
        ...

    def next_number(self) -> int:
        """Take a number that no batch has had."""
        ...

    def coming(self, n: int = 0) -> int:
        """Add `n` to the number of jobs that were taken and are none yet, and return it."""
        ...


class Death(NamedTuple):
    """An opening of a store whose process has died."""

    opening: int
    running: Collection[int]
    """The tokens of the jobs whose scrapers ran."""


class Tables(Protocol):
    """All that a store keeps, as one call sees it.

    Size: a property for each table, and what a call has to know beside them.
    """

    @property
    def policy(self) -> StorePolicy:
        """The options of the store."""
        ...

    @property
    def moment(self) -> Moment:
        """The time of the call."""
        ...

    @property
    def awake(self) -> float:
        """The time of the call, for what the processes that run now have: it stands still while the machine sleeps."""
        ...

    @property
    def now(self) -> float:
        """The time of the call, for what is due at a time of day, or was done at one."""
        ...

    @property
    def version(self) -> int:
        """A number that is another one when others have changed something."""
        ...

    @property
    def opening(self) -> int | None:
        """The number of the opening through which the call is made, for what it takes; None: nobody outlives it."""
        ...

    @property
    def began(self) -> float:
        """When that opening began, by `awake`."""
        ...

    def strike(self, opening: int) -> bool:
        """Strike an opening out that has died; false if somebody else has."""
        ...

    @property
    def marks(self) -> Marks:
        """Changes of the call so far."""
        ...

    @property
    def jobs(self) -> JobTable:
        """The jobs."""
        ...

    @property
    def pages(self) -> PageTable:
        """Validators by URL."""
        ...

    @property
    def seen(self) -> SeenTable:
        """Ids that a crawl has seen."""
        ...

    @property
    def outbox(self) -> OutboxTable:
        """Outcomes that wait to be acknowledged."""
        ...

    @property
    def staging(self) -> StagingTable:
        """Jobs that are on their way in."""
        ...

    @property
    def sharing(self) -> SharingTable:
        """Locks, and the shares of engines."""
        ...
