"""Traces of runs: a span for each run, task and request, by the API of OpenTelemetry alone.

Each task begins a trace of its own, which links to the span of its run: a run may last for days and have millions of
tasks, and a trace of these is none that anybody can look at, nor one that could be sampled. A job that was enqueued
with a context goes on with that trace; one that recurs begins a new one each time, and links to it.

    run                          a trace of its own, or of whoever began the run
    task                         a trace of its own, or that of who has enqueued the job; links to the run
    └── request, request, …      as HTTP's semantic conventions have it

What a sampler leaves out costs the start of a span for its task, and nothing for its requests.

Spans are kept by task from its start to its end, so there are no more of them than tasks that are live.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from scrapeengine.decide.texts import text_of
from scrapeengine.model.instrument import (
    Instrument,
    JobClaimed,
    JobLost,
    PlatformOpened,
    PlatformShut,
    RequestBegun,
    RequestEnded,
    RetryDecided,
    RunEnded,
    RunStarted,
    TaskEnded,
    TaskEntered,
    TaskParked,
    TaskResumed,
    TaskRetried,
    TaskStarted,
)
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.standards import PORTS
from scrapeengine.model.urls import named, told
from scrapeengine.observe.labels import Labels

__all__ = ["Traces", "trace_context"]

_W3C = TraceContextTextMapPropagator()
_NAME = "scrapeengine"
_CLAIMED = 10_000
"""The jobs in hand of which it is kept in mind what has come with them, at most."""
_LONGEST = 500
"""Letters of an error's text."""
_KINDS: Mapping[type[Outcome[Any]], str] = {
    Success: "succeeded",
    Failure: "failed",
    Skipped: "skipped",
    Cancelled: "cancelled",
}


def trace_context() -> dict[str, str]:
    """Return the current span as texts that can go elsewhere: `traceparent`, and `tracestate` where there is some.

    It is for `engine.enqueue(…, context=se.observe.trace_context())`. Without a current span it is empty. Needs the
    extra `otel`.
    """
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


@attrs.define(eq=False)
class _TracedTask:
    """The spans of one task."""

    span: Span
    context: Context
    """That of the span: what comes of the task is its child."""
    request: Span | None = None
    """That of the request on its way, of which a task has one at a time."""


class TracedRun:
    """The spans of one run: a part of `Traces`.

    Size: a method for each of 16 hooks, and what they share.
    """

    def __init__(self, tracer: Tracer, propagate: Collection[str]) -> None:
        """Make it.

        Args:
            tracer: starts spans.
            propagate: the platforms whose requests say which span they belong to.
        """
        self._tracer = tracer
        self._propagate = propagate
        self._labels = Labels()
        self._ahead = 0.0
        """How far Unix time is ahead of the run's clock."""
        self._run: Span | None = None
        self._tasks: dict[tuple[str, str], _TracedTask] = {}
        """By the event's id and the platform: no two that are live have the same."""
        self._claimed: dict[tuple[str, str], JobClaimed] = {}
        """What has come with jobs in hand that were not started yet."""

    def run_started(self, details: RunStarted) -> None:
        """Begin its span, in the trace of whoever opens it."""
        self._labels.begin(details)
        self._ahead = details.wall - details.time
        attributes = {"scrapeengine.platforms": [named(name) for name in details.platforms]}
        self._run = self._tracer.start_span("scrape run", attributes=attributes, start_time=self._at(details.time))

    def run_ended(self, details: RunEnded) -> None:
        """End its span, with how its tasks have ended."""
        assert self._run is not None
        report = details.report
        for kind in _KINDS.values():
            self._run.set_attribute(f"scrapeengine.outcomes.{kind}", getattr(report.outcomes, kind))
        if report.stopped is not None:
            self._run.set_attribute("scrapeengine.stopped", report.stopped)
        self._run.end(self._at(details.time))

    def job_claimed(self, details: JobClaimed) -> None:
        """Keep in mind what has come with a job, until it starts."""
        if details.context:
            self._claimed[details.id, details.platform] = details
            if len(self._claimed) > _CLAIMED:  # those that were given back are not heard of
                del self._claimed[next(iter(self._claimed))]

    def job_lost(self, details: JobLost) -> None:
        """Forget a job that is somebody else's."""
        self._claimed.pop((details.id, details.platform), None)

    def task_started(self, details: TaskStarted) -> None:
        """Begin a span for a task, in the trace of whoever enqueued it, or in one of its own."""
        assert self._run is not None
        key = details.event.id, details.platform
        claimed = self._claimed.pop(key, None)
        links, parent = [Link(self._run.get_span_context())], Context()
        if claimed is not None:
            came = _W3C.extract(claimed.context, Context())
            if not claimed.recurs:
                parent = came
            elif (sender := trace.get_current_span(came).get_span_context()).is_valid:
                links.append(Link(sender))
        label = named(self._labels.of(details.platform))
        span = self._tracer.start_span(
            f"scrape {label}",
            context=parent,
            kind=SpanKind.CONSUMER if parent else SpanKind.INTERNAL,
            links=links,
            start_time=self._at(details.time),
        )
        if span.is_recording():
            span.set_attribute("scrapeengine.platform", named(details.platform))
            span.set_attribute("scrapeengine.event.id", named(details.event.id))
            span.set_attribute("scrapeengine.queued", details.queued)
        self._tasks[key] = _TracedTask(span, trace.set_span_in_context(span, parent))

    def task_entered(self, details: TaskEntered) -> None:
        """Let its span be the current one for its scraper."""
        task = self._tasks.get((details.event.id, details.platform))
        if task is not None:
            attach(task.context)  # for good: the context is this task's own

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

    def task_ended(self, details: TaskEnded) -> None:
        """End the span of a task."""
        outcome, now = details.outcome, self._at(details.time)
        task = self._tasks.pop((outcome.event.id, outcome.platform), None)
        if task is None:
            return  # it was started before who listens has come
        if task.request is not None:
            task.request.end(now)
        span = task.span
        if span.is_recording():
            span.set_attribute("scrapeengine.outcome", _KINDS[type(outcome)])
            span.set_attribute("scrapeengine.attempts", outcome.attempts)
            span.set_attribute("scrapeengine.parked", outcome.parked)
            if isinstance(outcome, Failure):
                span.set_attribute("error.type", type(outcome.error).__name__)
                span.set_status(Status(StatusCode.ERROR, text_of(outcome.error)[:_LONGEST]))
        span.end(now)

    def request_begun(self, details: RequestBegun) -> Mapping[str, str] | None:
        """Begin the span of a request; returns the headers that say which one it is, where these are asked for."""
        task = self._tasks.get((details.event.id, details.platform))
        if task is None:
            return None
        context = task.context
        if task.span.is_recording():
            span = self._tracer.start_span(
                details.method, context, SpanKind.CLIENT, _asked(details), start_time=self._at(details.time)
            )
            task.request = span
            context = trace.set_span_in_context(span, context)
        if details.to not in self._propagate:
            return None
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, context)
        return carrier

    def request_ended(self, details: RequestEnded) -> None:
        """End the span of a request."""
        task = self._tasks.get((details.event.id, details.platform))
        if task is None or task.request is None:
            return
        span, task.request = task.request, None
        _answered(span, details)
        span.end(self._at(details.time))

    def platform_shut(self, details: PlatformShut) -> None:
        """Note that a platform has closed."""
        if self._run is not None:
            said: dict[str, str | float] = {
                "scrapeengine.platform": named(details.platform),
                "scrapeengine.seconds": details.until - details.time,
            }
            self._run.add_event("platform closed", said, self._at(details.time))

    def platform_opened(self, details: PlatformOpened) -> None:
        """Note that it is open again."""
        if self._run is not None:
            said = {"scrapeengine.platform": named(details.platform)}
            self._run.add_event("platform opened", said, self._at(details.time))

    def _note(self, id: str, platform: str, what: str, time: float, said: Mapping[str, str | float]) -> None:
        task = self._tasks.get((id, platform))
        if task is not None and task.span.is_recording():
            task.span.add_event(what, said, self._at(time))

    def _at(self, time: float) -> int:
        """Turn a time of the run's clock into Unix time, in nanoseconds."""
        return int((time + self._ahead) * 1e9)


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
            TypeError: `propagate` is no collection of names.
        """
        propagate = propagate if isinstance(propagate, str) else tuple(propagate)
        if isinstance(propagate, str) or not all(isinstance(name, str) for name in propagate):
            raise TypeError(f"Traces(propagate=…) takes names of platforms, got {told(propagate)}; write [name]")
        self._tracer = trace.get_tracer(_NAME, tracer_provider=provider)
        self._propagate = frozenset(propagate)

    @property
    def parts(self) -> tuple[object, ...]:
        """What listens to a run: anew for each one."""
        return (TracedRun(self._tracer, self._propagate),)

    def __repr__(self) -> str:
        """Say who is told of our traces."""
        return f"<Traces, propagated to {len(self._propagate)} platforms>"


def _asked(details: RequestBegun) -> dict[str, str | int]:
    """Return the attributes of a request by HTTP's semantic conventions."""
    url = details.url
    parts = urlsplit(url)
    said: dict[str, str | int] = {
        "http.request.method": details.method,
        "url.full": url,
        "server.address": parts.hostname or "",
        "server.port": parts.port or PORTS.get(parts.scheme, 0),
        "scrapeengine.platform": named(details.to),
    }
    if details.attempt > 1:
        said["http.request.resend_count"] = details.attempt - 1
    return said


def _answered(span: Span, details: RequestEnded) -> None:
    """Set what is known of an answer."""
    if not span.is_recording():
        return
    span.set_attribute("http.response.body.size", details.received)
    if details.status is not None:
        span.set_attribute("http.response.status_code", details.status)
    if details.error is not None:
        span.set_attribute("error.type", type(details.error).__name__)
        span.set_status(Status(StatusCode.ERROR, text_of(details.error)[:_LONGEST]))
    elif details.cancelled:
        span.set_attribute("error.type", "cancelled")
    elif details.status is not None and details.status >= 400:
        span.set_attribute("error.type", str(details.status))
        span.set_status(Status(StatusCode.ERROR))
