"""Traces of runs: a span for each run, task and request, by the API of OpenTelemetry alone.

Each task begins a trace of its own, which links to the span of its run: a run may last for days and have millions of
tasks, and a trace of these is none that anybody can look at, nor one that could be sampled. A job that was enqueued
with a context goes on with that trace; one that recurs begins a new one each time, and links to it.

    run                          a trace of its own, or of whoever began the run
    task                         a trace of its own, or that of who has enqueued the job; links to the run
    └── request, request, …      as HTTP's semantic conventions have it

Of a task that the sampler leaves out there is the start of its span, which asks the sampler, and that it is the current
one for its scraper, so that what that begins is left out too. Of its requests nothing is asked, whatever the sampler
is: one whose task is not there says little.

Spans are kept by task from its start to its end, so there are no more of them than tasks that are live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from scrapeengine.decide.texts import text_of
from scrapeengine.model.instrument import (
    Instrument,
    JobClaimed,
    JobLost,
    PlatformOpened,
    PlatformShut,
    RetryDecided,
    RunEnded,
    RunStarted,
    TaskParked,
    TaskResumed,
    TaskRetried,
)
from scrapeengine.model.outcome import KINDS, Failure, Outcome
from scrapeengine.model.standards import PORTS
from scrapeengine.model.urls import named, shown, told
from scrapeengine.observe.following import FollowsTask, RequestSent
from scrapeengine.observe.labels import Labels

if TYPE_CHECKING:
    from scrapeengine.model.event import Event

__all__ = ["Traces", "trace_context"]

_W3C = TraceContextTextMapPropagator()
_NAME = "scrapeengine"
_INTERNAL, _CONSUMER = SpanKind.INTERNAL, SpanKind.CONSUMER
_NOWHERE = Context()
"""The context of what begins a trace; never changed."""
_CLAIMED = 10_000
"""The jobs in hand of which it is kept in mind what has come with them, at most."""
_LONGEST = 500
"""Letters of an error's text."""


def trace_context() -> dict[str, str]:
    """Return the current span as texts that can go elsewhere: `traceparent`, and `tracestate` where there is some.

    It is for `engine.enqueue(…, context=se.observe.trace_context())`. Without a current span it is empty. Needs the
    extra `otel`.
    """
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


class _TracedTask:
    """A task with its span, or with what is left of one that the sampler leaves out. Implements `FollowsTask`."""

    __slots__ = ("_request", "_token", "follower", "key", "recorded", "requests", "span")

    key: tuple[str, str]
    """Of one that is recorded: the event's id, and the platform."""

    def __init__(self, span: Span, run: TracedRun) -> None:
        """Make it.

        Args:
            span: its span.
            run: its run.
        """
        self.span = span
        self.recorded = span.is_recording()
        """Whether anybody sees the span, and so wants to hear of its end."""
        self.requests = self.recorded or bool(run.propagate)
        """Whether it wants to hear of requests."""
        self.follower = run
        self._token: Token[Context] | None = None
        self._request: Span | None = None
        """That of the request on its way, of which a task has one at a time."""

    def entered(self) -> None:
        """Let its span be the current one for its scraper, in the context of the program that opened the run."""
        self._token = attach(trace.set_span_in_context(self.span, get_current()))

    def left(self) -> None:
        """Let it be no more: where a task leaves no trace in its context, the next one follows it at once."""
        if self._token is not None:
            detach(self._token)

    def request_begun(self, request: RequestSent) -> Mapping[str, str] | None:
        """Begin the span of a request; returns the headers that say which one it is, where these are asked for."""
        context = self._asker()
        if self.recorded:
            at = self.follower.at(request.time)
            said = _asked(request)
            span = self.follower.tracer.start_span(request.method, context, SpanKind.CLIENT, said, start_time=at)
            self._request = span
            context = trace.set_span_in_context(span, context)
        if request.to not in self.follower.propagate:
            return None
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, context)
        return carrier

    def _asker(self) -> Context:
        """Return the context that a request is made in: that of the span around it, if it is of the task's trace.

        It is another one where the scraper has begun a trace of its own, or left the task's span aside.
        """
        context = get_current()
        trace_id = trace.get_current_span(context).get_span_context().trace_id
        if trace_id == self.span.get_span_context().trace_id:
            return context
        return trace.set_span_in_context(self.span, context)

    def request_ended(self, status: int, error: BaseException | None, received: int, now: float) -> None:
        """End the span of a request."""
        span, self._request = self._request, None
        if span is not None:
            if span.is_recording():
                _answered(span, status, error, received)
            span.end(self.follower.at(now))

    def ended(self, outcome: Outcome[Any], now: float) -> None:
        """End the span of the task."""
        at, span = self.follower.at(now), self.span
        self.follower.over(self)
        if self._request is not None:
            self._request.end(at)
        said: dict[str, str | float] = {
            "scrapeengine.outcome": KINDS[type(outcome)],
            "scrapeengine.attempts": outcome.attempts,
            "scrapeengine.parked": outcome.parked,
        }
        if isinstance(outcome, Failure):
            said["error.type"] = type(outcome.error).__name__
            span.set_status(Status(StatusCode.ERROR, text_of(outcome.error)[:_LONGEST]))
        span.set_attributes(said)
        span.end(at)


class TracedRun:
    """The spans of one run: a part of `Traces`.

    Size: a method for each of 10 hooks, and what they share.
    """

    def __init__(self, tracer: Tracer, propagate: Collection[str]) -> None:
        """Make it.

        Args:
            tracer: starts spans.
            propagate: the platforms whose requests say which span they belong to.
        """
        self.tracer = tracer
        self.propagate = propagate
        self._labels = Labels()
        self._names: dict[str, str] = {}
        """What the spans of tasks are called, by the label of their platform."""
        self._ahead = 0.0
        """By how many seconds Unix time is ahead of the run's clock."""
        self._run: Span | None = None
        self._links: tuple[Link, ...] = ()
        """The one to the span of the run, which all tasks have."""
        self._recorded: dict[tuple[str, str], _TracedTask] = {}
        """The tasks whose spans are recorded, by the event's id and the platform, which no two that are live share."""
        self._claimed: dict[tuple[str, str], JobClaimed] = {}
        """What has come with jobs in hand that were not started yet."""

    def at(self, time: float) -> int:
        """Turn a time of the run's clock into Unix time, in nanoseconds."""
        return int((time + self._ahead) * 1e9)

    def run_started(self, details: RunStarted) -> None:
        """Begin its span, in the trace of whoever opens it."""
        self._labels.begin(details)
        self._ahead = details.wall - details.time
        attributes = {"scrapeengine.platforms": [named(name) for name in details.platforms]}
        self._run = self.tracer.start_span("scrape run", attributes=attributes, start_time=self.at(details.time))
        self._links = (Link(self._run.get_span_context()),)

    def run_ended(self, details: RunEnded) -> None:
        """End its span, with how its tasks have ended."""
        assert self._run is not None
        report = details.report
        for kind in KINDS.values():
            self._run.set_attribute(f"scrapeengine.outcomes.{kind}", getattr(report.outcomes, kind))
        if report.stopped is not None:
            self._run.set_attribute("scrapeengine.stopped", report.stopped)
        self._run.end(self.at(details.time))

    def taken_out(self, now: float) -> None:
        """End the span of the run: what would have ended it is not heard any more."""
        if self._run is not None and self._run.is_recording():
            self._run.end(self.at(now))

    def job_claimed(self, details: JobClaimed) -> None:
        """Keep in mind what has come with a job, until it starts."""
        if details.context:
            self._claimed[details.id, details.platform] = details
            if len(self._claimed) > _CLAIMED:  # those that were given back are not heard of
                del self._claimed[next(iter(self._claimed))]

    def job_lost(self, details: JobLost) -> None:
        """Forget a job that is somebody else's."""
        self._claimed.pop((details.id, details.platform), None)

    def follow_task(self, event: Event, platform: str, queued: float, now: float) -> FollowsTask:
        """Begin a span for a task, in the trace of whoever enqueued it, or in one of its own."""
        parent, links = _NOWHERE, self._links
        if self._claimed:
            parent, links = self._came_with(event.id, platform)
        name, at = self._names.get(platform) or self._name(platform), int((now + self._ahead) * 1e9)
        kind = _CONSUMER if parent else _INTERNAL
        span = self.tracer.start_span(name, parent, kind, None, links, at)
        task = _TracedTask(span, self)
        if task.recorded:
            task.key = event.id, platform
            self._recorded[task.key] = task
            span.set_attributes(
                {
                    "scrapeengine.platform": named(platform),
                    "scrapeengine.event.id": named(event.id),
                    "scrapeengine.queued": queued,
                }
            )
        return task

    def _name(self, platform: str) -> str:
        """Return what the span of a task is called; kept for those that have a label of their own, which are few."""
        label = self._labels.of(platform)
        name = self._names[label] = f"scrape {named(label)}"
        return name

    def _came_with(self, id: str, platform: str) -> tuple[Context, tuple[Link, ...]]:
        """Return the context that a job's span begins in, and its links."""
        claimed = self._claimed.pop((id, platform), None)
        if claimed is None:
            return _NOWHERE, self._links
        came = _W3C.extract(claimed.context, Context())
        if not claimed.recurs:
            return came, self._links
        sender = trace.get_current_span(came).get_span_context()
        return _NOWHERE, (*self._links, Link(sender)) if sender.is_valid else self._links

    def over(self, task: _TracedTask) -> None:
        """Forget a task that has ended."""
        self._recorded.pop(task.key, None)

    def task_parked(self, details: TaskParked) -> None:
        """Note that a task waits."""
        self._note(details.event.id, details.platform, "parked", details.time, {})

    def task_resumed(self, details: TaskResumed) -> None:
        """Note that it goes on."""
        self._note(details.event.id, details.platform, "resumed", details.time, {"scrapeengine.parked": details.parked})

    def task_retried(self, details: TaskRetried) -> None:
        """Note that its scraper runs again."""
        said = {"scrapeengine.attempt": details.attempt, "scrapeengine.after": details.after}
        self._note(details.event.id, details.platform, "task retried", details.time, said)

    def retry_decided(self, details: RetryDecided) -> None:
        """Note that a request is tried again."""
        said: dict[str, str | float] = {
            "scrapeengine.attempt": details.attempt,
            "scrapeengine.after": details.after,
            "error.type": type(details.error).__name__,
        }
        self._note(details.event.id, details.platform, "request retried", details.time, said)

    def platform_shut(self, details: PlatformShut) -> None:
        """Note that a platform has closed."""
        if self._run is not None:
            said: dict[str, str | float] = {
                "scrapeengine.platform": named(details.platform),
                "scrapeengine.seconds": details.until - details.time,
            }
            self._run.add_event("platform closed", said, self.at(details.time))

    def platform_opened(self, details: PlatformOpened) -> None:
        """Note that it is open again."""
        if self._run is not None:
            said = {"scrapeengine.platform": named(details.platform)}
            self._run.add_event("platform opened", said, self.at(details.time))

    def _note(self, id: str, platform: str, what: str, time: float, said: Mapping[str, str | float]) -> None:
        task = self._recorded.get((id, platform))
        if task is not None:
            task.span.add_event(what, said, self.at(time))


class Traces(Instrument):
    """Traces of runs, for OpenTelemetry. Needs the extra `otel`, and an SDK that the program has set up.

    Give one to all runs of a program, also to some at a time. There is a span for each run, task and request, with
    events for retries, parking and closings; docs/guide.md says what is in them. No header and no query of a URL is,
    for these may be secrets.

    Size: the hooks of `Instrument`, which are its parts' to hear.
    """

    def __init__(self, provider: TracerProvider | None = None, *, propagate: Collection[str] = ()) -> None:
        """Make it.

        Args:
            provider: gets the spans; None: the program's own one, as `trace.get_tracer_provider()` has it then.
            propagate: the platforms whose requests carry a `traceparent`, by name: those of a program's own services.
                Others are told nothing of our traces.

        Raises:
            TypeError: `provider` is none, or `propagate` no collection of names.
        """
        if provider is not None and not isinstance(provider, TracerProvider):
            raise TypeError(
                f"Traces takes a TracerProvider of OpenTelemetry's, got {told(provider)}; write "
                "Traces(TracerProvider()), or Traces() for the program's own"
            )
        names = tuple(propagate) if isinstance(propagate, Iterable) and not isinstance(propagate, str | bytes) else None
        if names is None or not all(isinstance(name, str) for name in names):
            raise TypeError(f"Traces(propagate=…) takes names of platforms, got {told(propagate)}; write [name]")
        self._tracer = trace.get_tracer(_NAME, tracer_provider=provider)
        self._propagate = frozenset(names)

    @property
    def parts(self) -> tuple[object, ...]:
        """What listens to a run: anew for each one."""
        return (TracedRun(self._tracer, self._propagate),)

    def __repr__(self) -> str:
        """Say who is told of our traces."""
        return f"<Traces, propagated to {len(self._propagate)} platforms>"


def _asked(request: RequestSent) -> dict[str, str | int]:
    """Return the attributes of a request by HTTP's semantic conventions."""
    url = shown(request.url)
    parts = urlsplit(url)
    said: dict[str, str | int] = {
        "http.request.method": request.method,
        "url.full": url,
        "server.address": parts.hostname or "",
        "server.port": parts.port or PORTS.get(parts.scheme, 0),
        "scrapeengine.platform": named(request.to),
    }
    if request.attempt > 1:
        said["http.request.resend_count"] = request.attempt - 1
    return said


def _answered(span: Span, status: int, error: BaseException | None, received: int) -> None:
    """Set what is known of an answer."""
    said: dict[str, str | int] = {"http.response.body.size": received}
    if status:
        said["http.response.status_code"] = status
    if isinstance(error, Exception):
        said["error.type"] = type(error).__name__
        span.set_status(Status(StatusCode.ERROR, text_of(error)[:_LONGEST]))
    elif error is not None:
        said["error.type"] = "cancelled"
    elif status >= 400:
        said["error.type"] = str(status)
        span.set_status(Status(StatusCode.ERROR))
    span.set_attributes(said)
