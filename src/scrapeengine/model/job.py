"""Messages between a store and the engine. A *job* is one event on one platform, from its enqueueing to its end.

All times are Unix times, all spans seconds. Texts are JSON, and a store never looks into them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import attrs

from scrapeengine.model.described import described
from scrapeengine.model.policy import Rate
from scrapeengine.model.sink import READER
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator

__all__ = [
    "Claimed",
    "Completion",
    "Content",
    "Delivery",
    "JobStatus",
    "Kept",
    "Known",
    "NewJob",
    "QueueStatistics",
    "Reply",
    "ShareGrant",
    "ShareRequest",
    "StoredJob",
    "Ticket",
]

Content: TypeAlias = str | bytes
"""JSON as text, or bytes as they are."""
NO_VALIDATORS: Mapping[str, Validator | None] = MappingProxyType({})


class JobStatus(enum.Enum):
    """The state of a job. It ends once; a job that recurs never does, but by `cancel`.

    ready ──claim──> leased ──complete──> done, skipped, failed; what recurs: delayed
      ^                 │
      ├──(its time)── delayed <──release(delay)
      └──(lease is over)┘                        cancel: from any of the first three to cancelled
    """

    READY = "ready"
    """It can be claimed."""
    DELAYED = "delayed"
    """It becomes ready at its time."""
    LEASED = "leased"
    """Somebody works on it."""
    DONE = "done"
    """It has a result."""
    SKIPPED = "skipped"
    """Its task said that there is nothing to do."""
    FAILED = "failed"
    """Its task failed."""
    CANCELLED = "cancelled"
    """It was called off."""

    __hash__ = object.__hash__  # members are one each; an enum's own hash is Python code, and called all the time

    @property
    def pending(self) -> bool:
        """Whether it has not ended."""
        return self in _PENDING

    @property
    def fell_short(self) -> bool:
        """Whether it has ended without what was asked for, so that it runs again when it is enqueued again."""
        return self in _FELL_SHORT


_PENDING = frozenset({JobStatus.READY, JobStatus.DELAYED, JobStatus.LEASED})
_FELL_SHORT = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})


class Reply(enum.Enum):
    """The answer of a store to somebody who has, or had, the lease of a job."""

    OK = "ok"
    """Done."""
    ALREADY = "already"
    """Done before: the reply to the first call was lost."""
    LOST = "lost"
    """The lease has ended. The job is somebody else's, or nobody's; nothing was changed."""


@described
@attrs.frozen
class NewJob:
    """A job to enqueue."""

    platform: str
    id: str = attrs.field(repr=told)
    """The event's; with the platform it tells this job from all others."""
    payload: str = attrs.field(repr=False)
    """The event, as JSON."""
    priority: int = 0
    """Larger is claimed sooner; at equal priority what became ready first."""
    delay: float = 0.0
    """Seconds until it is ready."""
    cadence: str | None = None
    """How it recurs, as JSON; None: it does not. On a job that is known it replaces what was there, if it is given; one
    that is done, or was skipped, recurs from then on."""
    interval: float | None = None
    """Seconds from its last completion after which it is due at the latest, where it recurs and its cadence is another
    one than before; None: the new cadence is heeded from its next completion on."""


class Ticket(NamedTuple):
    """One lease of one job. A job that is leased anew has another token: what comes late is known by that."""

    platform: str
    id: str
    token: int

    def __repr__(self) -> str:
        """Show it without the secrets that an id may hold."""
        return f"Ticket(platform={self.platform!r}, id={told(self.id)}, token={self.token})"


@described
@attrs.frozen
class Claimed:
    """A job in hand."""

    ticket: Ticket
    payload: str = attrs.field(repr=False)
    priority: int
    attempts: int
    """How often it has been claimed, this time included, and was not given back by `release`."""
    enqueued: float
    """When it was enqueued."""
    cadence: str | None
    history: str | None
    """A text that the last completion has left, as JSON."""
    deaths: int = 0
    """How often a process has died while its scraper ran, as far as that counts. 1 to 3: it is a suspect, and no other
    suspect is in hand. 4: it is not to be run, but to be completed as `FAILED` (`Completion.ends`)."""
    damage: str | None = None
    """Why it is not to be run, but to be completed as `FAILED` (`Completion.ends`): what the store holds of it is not
    what was written. None: it is."""


@described
@attrs.frozen(kw_only=True)
class Completion:
    """The end of a job, and all that is stored with it, in one transaction.

    Size: a value, with one field for each part of it.
    """

    ticket: Ticket
    status: JobStatus
    """`DONE`, `SKIPPED` or `FAILED`."""
    result: Content | None = None
    """The value that its scraper has returned."""
    error: str | None = None
    """The error in words, or why it was skipped."""
    follow_ups: tuple[NewJob, ...] = ()
    """Jobs that its task has found; those that are known are left as they are."""
    validators: Mapping[str, Validator | None] = attrs.field(default=NO_VALIDATORS, repr=False)
    """ETags and the like, by URL; None: what is known of it is to be forgotten."""
    again: float | None = None
    """Seconds until it is to be ready again, if it recurs: it is delayed then, and does not end. None: at once.

    No two jobs of a platform get one instant by this: who comes later is moved on by milliseconds.
    """
    between: tuple[float, float] | None = None
    """The least and the most seconds to which it is moved so: it is put forward where it cannot be moved on. Jobs that
    have no room share an instant. None: as many as it takes, and never forward."""
    ends: bool = False
    """Whether it ends even if it recurs."""
    history: str | None = None
    """A text to hand out with its next claim."""
    keep: float = 0.0
    """Seconds for which it stays known at least, whatever the store's time to live: nobody need ask again before."""
    outcome: str | None = attrs.field(default=None, repr=False)
    """Its outcome, as JSON, to be kept until it is acknowledged; None: nobody needs it."""
    sinks: tuple[str, ...] = (READER,)
    """The names of the sinks that are to have it, each of which acknowledges it for itself."""
    deliver: float = 0.0
    """Seconds after which an outcome that was not acknowledged is handed out by `undelivered`."""


@described
@attrs.frozen(kw_only=True)
class StoredJob:
    """A job as it is now.

    Size: a value, with one field for each thing that can be asked of it.
    """

    platform: str
    id: str = attrs.field(repr=told)
    status: JobStatus
    payload: str = attrs.field(repr=False)
    priority: int
    attempts: int
    enqueued: float
    due: float | None
    """Delayed: when it becomes ready. Leased: when its lease ends. Else None."""
    finished: float | None
    """When it ended; what recurs, or runs again: when it did so last. None if it never did."""
    result: Content | None
    """Of the last completion."""
    error: str | None
    """Of the last completion."""
    recurs: bool

    @property
    def key(self) -> tuple[str, str]:
        """Its platform and id, by which it is told from all others."""
        return self.platform, self.id


@described
@attrs.frozen
class Known:
    """The answer of `enqueue` for one job."""

    new: bool
    """Whether it was enqueued now, for the first time or to run again; if not, its id was known."""
    job: StoredJob
    replaced: bool = False
    """Whether it was pending and has the new data now. One that is leased goes on with what it had."""


class Delivery(NamedTuple):
    """One outcome that is kept until it is acknowledged."""

    platform: str
    id: str
    token: int

    def __repr__(self) -> str:
        """Show it without the secrets that an id may hold."""
        return f"Delivery(platform={self.platform!r}, id={told(self.id)}, token={self.token})"


@described
@attrs.frozen
class Kept:
    """An outcome that a sink has not acknowledged."""

    delivery: Delivery
    outcome: str = attrs.field(repr=False)


@described
@attrs.frozen(kw_only=True)
class QueueStatistics:
    """The jobs of one platform, counted.

    Size: 11 attributes, a record.
    """

    ready: int = 0
    delayed: int = 0
    leased: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    cancelled: int = 0
    recurring: int = 0
    """The number of the first three that recur."""
    oldest: float | None = None
    """Seconds since the oldest of the ready ones was enqueued; None if none is ready."""
    paused: bool = False
    """Whether the store lets no task start there (`Store.pause`)."""
    closed: float = 0.0
    """Seconds until it opens again, by what all engines know; 0: it is open."""


@described
@attrs.frozen(kw_only=True)
class ShareRequest:
    """The wants of an engine on a platform that it shares with others.

    Size: 11 attributes, a message.
    """

    limit: int
    """The platform's limit: how many tasks may run at once, in all engines."""
    wanted: int
    """The number of tasks that it could run now, those that run included."""
    held: int
    """The number that it runs now, or may start before it has the answer."""
    rates: tuple[Rate, ...]
    """The platform's rates; none: no limit."""
    requests: int
    """The number of requests more that it could make now, or soon."""
    cost: int = 1
    """The cost of each of them."""
    lead: float = 0.0
    """Seconds until it can make the first of them: what it takes to ask."""
    anew: bool = False
    """Whether it gives back all start times that are reserved for it and still to come: its rate has changed."""
    keep: bool = False
    """Whether it keeps the slots that it has, if it has any, and only asks for requests: its turn is not over."""
    closed_until: float | None = None
    """Until when it knows the platform to be closed."""
    openings: int | None = None
    """The last that it has heard of how often the platform was reopened by hand; what it knows of a penalty is over if
    that has happened since. None: it has heard nothing."""


@described
@attrs.frozen(kw_only=True)
class ShareGrant:
    """The share that an engine gets."""

    slots: int
    """The most tasks that it may run at once, until its lease ends or it asks again."""
    times: tuple[float, ...]
    """From when on it may make one more request each; in order. One that is not used within an interval is lost. A
    request that costs more than 1 needs as many, and has them at one time."""
    closed_until: float | None
    """Until when the platform is closed, by what all engines know."""
    contended: bool
    """Whether others want it too, so that it should be asked for again soon."""
    openings: int = 0
    """How often the platform was reopened by hand. One more than before: what was known of a penalty is over."""
    paused: bool = False
    """Whether no task is to start there, whoever asks, for somebody has said so (`Store.pause`); then `slots` is 0."""
