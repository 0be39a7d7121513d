"""Instruments of a run: hooks that it calls, each with one frozen details object.

    run_started ── event_accepted ── task_started ── request_begun ── request_ended ── task_ended ── run_ended
                                          │                │
                       task_parked, _resumed, _retried    retry_decided, connection_opened

Hooks are synchronous and are called in the middle of the engine's steps, in the order in which things happen. So they
write down and return: what a hook wants to change (`tune`, `stop_soon`) happens once the step is over. All times are of
the run's clock, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from scrapeengine.model.outcome import Outcome
from scrapeengine.model.report import Report, Statistics
from scrapeengine.model.settings import Settings
from scrapeengine.model.urls import shown

if TYPE_CHECKING:
    from scrapeengine.model.event import Event

__all__ = [
    "BufferFull",
    "ConnectionOpened",
    "EventAccepted",
    "Instrument",
    "JobClaimed",
    "JobLost",
    "JobStored",
    "JobsRenewed",
    "LaneHeld",
    "LimitChanged",
    "OutcomeDelivered",
    "PlatformOpened",
    "PlatformShut",
    "RateChanged",
    "RequestBegun",
    "RequestEnded",
    "RetryDecided",
    "RunEnded",
    "RunStarted",
    "SourceEnded",
    "SourceWaiting",
    "TaskEnded",
    "TaskEntered",
    "TaskParked",
    "TaskResumed",
    "TaskRetried",
    "TaskStarted",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RunStarted:
    """A run begins."""

    time: float
    wall: float
    """The same instant in Unix time."""
    platforms: tuple[str, ...]
    """The declared platforms."""
    default: str
    """The name of the platform that serves all other hosts; empty: there is none."""
    settings: Settings
    """All knobs as they are now."""
    statistics: Callable[[], Statistics]
    """Returns what the run is doing, as `run.statistics()`; from any thread, also after the run."""
    report: Callable[[], Report]
    """Returns what the run has done so far, as `run.report`; the same."""
    joined: bool = False
    """Whether the run had begun before, and it is the instrument that came now (`run.watch`)."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RunEnded:
    """A run is over, and nothing of it is left running."""

    time: float
    report: Report


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EventAccepted:
    """An event was taken, from the source or by `task.follow`."""

    time: float
    event: Event
    platforms: tuple[str, ...]
    """The platforms on which it is a task."""
    followed: bool
    """Whether a task has found it."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SourceWaiting:
    """The source is not read on for now: `lookahead`, `max_pending` or `buffer` is reached."""

    time: float


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SourceEnded:
    """The source has no more events, or is read no more."""

    time: float
    error: BaseException | None
    """The exception that it has raised."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskStarted:
    """A task starts: it holds a token of its platform's limiter."""

    time: float
    event: Event
    platform: str
    queued: float
    """Seconds for which it has waited for that."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskEntered:
    """The scraper of a task is called now. The hook is called in the context of the task.

    Context variables that it sets there are the task's own, and its scraper sees them.
    """

    time: float
    event: Event
    platform: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskParked:
    """A task waits, and has given its token back."""

    time: float
    event: Event
    platform: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskResumed:
    """A task goes on: it has its token again."""

    time: float
    event: Event
    platform: str
    parked: float
    """Seconds for which it was parked this time."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskEnded:
    """A task has ended. Its outcome may still have to go into a store, which may refuse it."""

    time: float
    outcome: Outcome[Any]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LaneHeld:
    """The reason that holds a platform's work back has changed."""

    time: float
    platform: str
    by: str
    """The value of a `Holdup`: its "limit", the "share" that other engines leave, its "rate", a "penalty", a "pause" (a
    limit of 0), its "parked" tasks, the "event limit", the "consumer", the "sinks" or the "store" (who takes outcomes
    too slowly); or "nothing": no work waits there."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RequestBegun:
    """A request is about to be sent: its turn has come, and its connection is there.

    A hook may return headers to send with it, such as `{"traceparent": "00-…"}`. They go in place of others of the same
    name.
    """

    time: float
    event: Event
    platform: str
    """The task's platform."""
    to: str
    """The platform that the request goes to: another one after a redirect, or by an absolute URL."""
    method: str
    _url: str
    attempt: int
    """Which attempt it is, from 1; a redirect is of the same one."""

    @property
    def url(self) -> str:
        """The URL, without user, password and the values of its query."""
        return shown(self._url)  # once somebody wants it: to take it apart costs more than all the rest


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RequestEnded:
    """The answer to a request was read, or there is none.

    Size: 17 attributes: a record of one request.
    """

    time: float
    event: Event
    platform: str
    to: str
    method: str
    _url: str
    attempt: int
    status: int | None
    """The status; None: no answer came."""
    error: Exception | None
    """Why there is no answer, or not the whole of it; a 4xx or 5xx is an answer."""
    cancelled: bool
    """Whether the request was cancelled."""
    kept: bool | None
    """Whether it went by a connection that was kept; None: a transport of the program's own does not say."""
    whole: bool
    """Whether the whole body came, or there is none; a redirect's may be left unread."""
    received: int
    """The bytes of the body on the wire."""
    decoded: int
    """The bytes of the body once decoded, as far as it was; where nothing had to be decoded, what was received."""
    connect: float
    """Seconds that it took to connect; 0 on a kept connection."""
    head: float | None
    """Seconds from the sending to the head of the answer; None: it did not come."""
    seconds: float
    """Seconds in all, from connecting to the last byte."""

    @property
    def url(self) -> str:
        """The URL, as for `RequestBegun`."""
        return shown(self._url)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TaskRetried:
    """A task has called `task.retry`, and its scraper runs again."""

    time: float
    event: Event
    platform: str
    attempt: int
    """The run of the scraper that has ended so, from 1."""
    after: float
    """Seconds until the next one, at least."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryDecided:
    """A request is tried again."""

    time: float
    event: Event
    platform: str
    method: str
    url: str
    attempt: int
    """The attempt that failed, from 1."""
    error: Exception
    after: float
    """Seconds until the next one, at least."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ConnectionOpened:
    """A connection was made."""

    time: float
    platform: str
    """The platform that the request goes to."""
    host: str
    port: int
    seconds: float
    """How long it took, the name's lookup and TLS included."""
    event: Event
    """The event of the task whose request it was made for."""
    by: str
    """That task's platform."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlatformShut:
    """A platform has asked not to be called, or another engine says so."""

    time: float
    platform: str
    until: float
    """When it opens again, as far as is known."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlatformOpened:
    """Tasks may start on a platform again: its penalty or its pause is over."""

    time: float
    platform: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LimitChanged:
    """Another number of tasks may run on a platform."""

    time: float
    platform: str
    limit: int
    reason: str
    """The part that holds: its "limit", the "share" that other engines leave, or a "pause" in the store."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RateChanged:
    """Requests of a platform go by another rate."""

    time: float
    platform: str
    interval: float
    """Seconds between two requests when they come evenly; 0: no rate."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobClaimed:
    """A job of a store is in this run's hand."""

    time: float
    platform: str
    id: str
    context: Mapping[str, str]
    """What has come with it from whoever enqueued it (`enqueue(context=…)`)."""
    recurs: bool
    """Whether it comes again and again."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobsRenewed:
    """The leases of jobs in hand were renewed."""

    time: float
    jobs: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobLost:
    """The lease of a job was lost: it may be another's."""

    time: float
    platform: str
    id: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobStored:
    """A store has accepted how a job has ended."""

    time: float
    outcome: Outcome[Any]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OutcomeDelivered:
    """An outcome is where it was to go."""

    time: float
    outcome: Outcome[Any]
    to: str
    """"sinks": all of them have it; "consumer": it was read."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BufferFull:
    """So many outcomes wait that no task starts any more."""

    time: float
    waiting: int


class Instrument:
    """Listens to a run. Inherit from it, and write the hooks that you want; those that you leave out are not called.

    A hook that raises is logged, and its instrument is taken out; the run goes on.

    An instrument may be made of others: where its class has `parts`, a tuple of instruments, these are told too, after
    it. They are asked for once for each run, and may be other ones each time.

    Not a protocol, though nothing is inherited from it but hooks that do nothing: type checkers take the empty methods
    of a protocol for abstract ones, and would not let a program make an instrument that lacks some.

    Size: 26 hooks, one for each thing that happens; each is asked for by name, and none has to be written.
    """

    def run_started(self, details: RunStarted, /) -> None:
        """Hear that a run begins, or that one was joined."""

    def run_ended(self, details: RunEnded, /) -> None:
        """Hear that a run is over."""

    def event_accepted(self, details: EventAccepted, /) -> None:
        """Hear of an event that was taken."""

    def source_waiting(self, details: SourceWaiting, /) -> None:
        """Hear that the source is not read on for now."""

    def source_ended(self, details: SourceEnded, /) -> None:
        """Hear that the source has ended."""

    def task_started(self, details: TaskStarted, /) -> None:
        """Hear of a task that starts."""

    def task_entered(self, details: TaskEntered, /) -> None:
        """Hear of a task whose scraper is called now, in the task's own context."""

    def task_parked(self, details: TaskParked, /) -> None:
        """Hear of a task that waits."""

    def task_resumed(self, details: TaskResumed, /) -> None:
        """Hear of a task that goes on."""

    def task_retried(self, details: TaskRetried, /) -> None:
        """Hear of a task whose scraper runs again."""

    def task_ended(self, details: TaskEnded, /) -> None:
        """Hear of a task that has ended."""

    def lane_held(self, details: LaneHeld, /) -> None:
        """Hear that something else holds a platform back."""

    def request_begun(self, details: RequestBegun, /) -> Mapping[str, str] | None:
        """Hear of a request that is about to be sent; may return headers to add."""

    def request_ended(self, details: RequestEnded, /) -> None:
        """Hear of a request whose answer was read."""

    def retry_decided(self, details: RetryDecided, /) -> None:
        """Hear of a request that is tried again."""

    def connection_opened(self, details: ConnectionOpened, /) -> None:
        """Hear of a connection that was made."""

    def platform_shut(self, details: PlatformShut, /) -> None:
        """Hear of a platform that has closed."""

    def platform_opened(self, details: PlatformOpened, /) -> None:
        """Hear of a platform that is open again."""

    def limit_changed(self, details: LimitChanged, /) -> None:
        """Hear that another limit holds."""

    def rate_changed(self, details: RateChanged, /) -> None:
        """Hear that another rate holds."""

    def job_claimed(self, details: JobClaimed, /) -> None:
        """Hear of a job that was claimed."""

    def jobs_renewed(self, details: JobsRenewed, /) -> None:
        """Hear of leases that were renewed."""

    def job_lost(self, details: JobLost, /) -> None:
        """Hear of a lease that was lost."""

    def job_stored(self, details: JobStored, /) -> None:
        """Hear of an end that the store has accepted."""

    def outcome_delivered(self, details: OutcomeDelivered, /) -> None:
        """Hear of an outcome that is where it was to go."""

    def buffer_full(self, details: BufferFull, /) -> None:
        """Hear that too many outcomes wait."""
