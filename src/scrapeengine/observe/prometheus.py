"""Metrics of runs, for Prometheus.

Nothing is counted for Prometheus alone: it is a collector, which reads a `Recording`, the report and the statistics of
each run that goes on when it is asked, in whatever thread. What a run has counted is added to the totals of all runs
before it once it ends, in one step, so that counters never go back and nothing is seen twice.

Rejected: metrics that are counted up with each event. To add one to a counter of prometheus-client's costs as much as
all that a `Recording` does for a request.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    REGISTRY,
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from scrapeengine.decide.sketch import Sketch
from scrapeengine.model.checks import whole
from scrapeengine.model.instrument import Instrument, RunEnded, RunStarted
from scrapeengine.model.job import QueueStatistics
from scrapeengine.model.report import Report
from scrapeengine.model.urls import named, told
from scrapeengine.observe.recording import Recording
from scrapeengine.observe.totals import Totals, totals_of

__all__ = ["Prometheus"]

_PREFIX = "scrapeengine_"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "outcomes": ("How tasks ended", ("platform", "kind")),
    "duplicates": ("Tasks that were not accepted, because they were known", ("platform",)),
    "failures": ("Failures by the class of their error", ("error",)),
    "requests": (
        "Requests that have ended, by the class of their status; none: no answer came",
        ("platform", "status"),
    ),
    "requests_unfinished": ("Requests that have failed or were cut off, also behind a status", ("platform", "reason")),
    "retries": ("Requests that were tried again", ("platform",)),
    "reruns": ("Runs of a scraper that task.retry has ended", ("platform",)),
    "received_bytes": ("Bytes of bodies on the wire: that came whole, or were cut off", ("platform", "body")),
    "decoded_bytes": ("Bytes of whole bodies once they were decoded", ("platform",)),
    "connections": ("Connections that were made", ("platform",)),
    "requests_on_kept_connections": ("Requests on connections that were kept", ("platform",)),
    "held_back_seconds": ("Seconds by what held the platform back", ("platform", "reason")),
}
_HISTOGRAMS = {
    "connect": ("connect_seconds", "Time that it took to connect"),
    "head": ("request_head_seconds", "Time from the sending of a request to the head of its answer"),
    "whole": ("request_duration_seconds", "Time of a request from connecting to the last byte, where all came"),
    "queued": ("queue_seconds", "Time that tasks waited for their start"),
    "parked": ("parked_seconds", "Time that tasks were parked, each time"),
}
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "runs": ("Runs that go on", ()),
    "events_in_progress": ("Events that hold an event slot", ()),
    "event_limit": ("Events that may be in progress at once", ()),
    "outcomes_buffered": ("Outcomes that wait for the consumer or the sinks", ()),
    "requests_in_flight": ("Requests on their way", ("platform",)),
    "tasks_running": ("Tasks that hold a slot", ("platform",)),
    "tasks_parked": ("Tasks that were started and hold no slot", ("platform",)),
    "tasks_waiting": ("Tasks that were accepted and not started", ("platform",)),
    "limit": ("Tasks that may run at once", ("platform",)),
    "utilisation_ratio": ("Running tasks, as a share of those that may run", ("platform",)),
    "rate_requests_per_second": ("Requests that may start in a second; infinite: it has no rate", ("platform",)),
    "closed": ("Whether it is closed; of hosts that are counted together, how many are", ("platform",)),
    "closed_until_timestamp_seconds": ("When it opens, in Unix time; 0: it is open", ("platform",)),
    "store_jobs": ("Jobs in the store", ("platform", "state")),
    "store_oldest_seconds": ("Time since the oldest ready job was enqueued", ("platform",)),
}
_OF_ANY = {"closed", "closed_until_timestamp_seconds"}
"""Gauges of which runs that go on at once have the largest; what all others have is added up."""
_STATES = ("ready", "delayed", "leased", "done", "skipped", "failed", "cancelled")

_Gauges = dict[tuple[str, ...], float]


class MeasuredRun:
    """One run that is measured: a part of a `Prometheus`, which has its own `Recording`."""

    def __init__(self, metrics: Prometheus, recording: Recording) -> None:
        self._metrics = metrics
        self._recording = recording
        self._started: RunStarted | None = None
        self._began = 0.0
        """When the run has begun, by its clock."""

    def run_started(self, details: RunStarted) -> None:
        """Be there when somebody asks."""
        self._started = details
        self._began = details.time - details.report().elapsed  # it may have been joined
        self._metrics.begin(self)

    def run_ended(self, details: RunEnded) -> None:
        """Leave what was counted."""
        self._metrics.end(self, self._totals(details.report))

    @property
    def declared(self) -> frozenset[str]:
        """The declared platforms, and the name for all others."""
        started = self._started
        return frozenset() if started is None else frozenset([*started.platforms, started.default])

    def totals(self) -> Totals:
        """Return what was counted so far. From any thread."""
        assert self._started is not None
        return self._totals(self._started.report())

    def _totals(self, report: Report) -> Totals:
        return totals_of(self._recording, report, self._began + report.elapsed)

    def gauges(self) -> _Gauges:
        """Return how it stands. From any thread."""
        started, recording = self._started, self._recording
        assert started is not None
        stands, report = started.statistics(), started.report()
        found: _Gauges = {
            ("runs",): 1,
            ("events_in_progress",): stands.in_progress,
            ("event_limit",): stands.event_limit,
            ("outcomes_buffered",): stands.buffered,
        }
        for name in started.platforms:
            found |= {("closed", name): 0, ("closed_until_timestamp_seconds", name): 0}
        for name, each in stands.platforms.items():
            label = recording.label(name)
            numbers = {
                "tasks_running": each.running,
                "tasks_parked": each.parked,
                "tasks_waiting": each.waiting,
                "limit": each.limit,
            }
            for gauge, number in numbers.items():
                found[gauge, label] = found.get((gauge, label), 0) + number
        now = report.started.timestamp() + report.elapsed
        for name, seconds in stands.closed.items():
            label, until = recording.label(name), "closed_until_timestamp_seconds"
            found["closed", label] = found.get(("closed", label), 0) + 1
            found[until, label] = max(found.get((until, label), 0.0), now + seconds)
        for label, interval in recording.intervals().items():
            found["rate_requests_per_second", label] = 1 / interval if interval else math.inf
        for label, counts in recording.counts().items():
            found["requests_in_flight", label] = counts.in_flight
        return found


class Prometheus(Instrument):
    """Metrics of runs, in a registry of prometheus-client's. Needs the extra `metrics`.

    Give one to all runs of a program, also to some at a time: what they count is added up. It includes a `Recording`,
    so the figures are in each run's report too.

    All names begin with `scrapeengine_`; docs/guide.md lists them. Platforms are labels: the declared ones, and the
    engine's default for all the hosts that it serves, of which the first `hosts` may have labels of their own.
    Outcomes of hosts are the default's in any case.

    Size: the hooks of `Instrument`, which are its parts' to hear.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, hosts: int = 0) -> None:
        """Make it, and register it.

        Args:
            registry: where it is asked: prometheus-client's own one, or another.
            hosts: how many of the hosts that the engine's default serves are told apart, in each run.

        Raises:
            TypeError: that is no registry, or `hosts` no whole number.
            ValueError: `hosts` is less than 0, or the registry has a `Prometheus`.
        """
        if not isinstance(registry, CollectorRegistry):
            raise TypeError(
                f"Prometheus takes a registry of prometheus-client's, got {told(registry)}; write "
                "Prometheus(CollectorRegistry()), or Prometheus() for the one that all share"
            )
        self.registry = registry
        self.lag = Sketch()
        """By how much the loop was late; `serve_metrics` measures it."""
        self._hosts = whole(hosts, "Prometheus(hosts=…)", least=0)
        self._runs: tuple[Totals, tuple[MeasuredRun, ...]] = Totals(), ()
        """The totals of all runs that are over, and those that go on: replaced in one step."""
        self._declared: frozenset[str] = frozenset()
        """The names that platforms of a store are counted under."""
        self._stored: Mapping[str, QueueStatistics] = {}
        self._held: dict[tuple[str, ...], float] = {}
        """The seconds for which platforms were held back, as they were said last."""
        self._names: dict[str, str] = {}
        """The values of labels, by what they stand for: two platforms whose names are shortened alike stay two."""
        try:
            registry.register(self)
        except ValueError as error:
            raise ValueError(
                "the registry has a Prometheus: give that one to all runs, or another registry to this one"
            ) from error

    @property
    def parts(self) -> tuple[object, ...]:
        """What listens to a run: anew for each one, which is told of it by the run itself."""
        recording = Recording(hosts=self._hosts, timeline=0)
        return recording, MeasuredRun(self, recording)

    def begin(self, run: MeasuredRun) -> None:
        """Hear of a run that begins."""
        before, running = self._runs
        self._declared |= run.declared
        self._runs = before, (*running, run)

    def end(self, run: MeasuredRun, totals: Totals) -> None:
        """Hear of a run that is over."""
        before, running = self._runs
        self._runs = before.with_more(totals), tuple(each for each in running if each is not run)

    def stored(self, jobs: Mapping[str, QueueStatistics]) -> None:
        """Know what a store holds, as `Store.stats` says it."""
        self._stored = jobs

    def describe(self) -> Iterable[Metric]:
        """List the metrics, for the registry to see that nobody else has these."""
        return self._families(Totals(), {})

    def collect(self) -> Iterable[Metric]:
        """Read all metrics. From any thread."""
        totals, running = self._runs
        gauges: _Gauges = {("runs",): 0.0} | self._of_store()
        for run in running:
            totals = totals.with_more(run.totals())
            for key, value in run.gauges().items():
                before = gauges.get(key, 0.0)
                gauges[key] = max(before, value) if key[0] in _OF_ANY else before + value
        for label in [key[1] for key in gauges if key[0] == "limit"]:
            limit = gauges["limit", label]
            gauges["utilisation_ratio", label] = gauges["tasks_running", label] / limit if limit else 0.0
        self._never_less(totals)
        return self._families(totals, gauges)

    def _never_less(self, totals: Totals) -> None:
        """Let what was said of the time stand: in another thread it may be read late by a turn, and a counter rises."""
        for key, seconds in totals.counters.items():
            if key[0] == "held_back_seconds":
                totals.counters[key] = self._held[key] = max(seconds, self._held.get(key, 0.0))

    def _families(self, totals: Totals, gauges: _Gauges) -> Iterator[Metric]:
        for name, (text, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(f"{_PREFIX}{name}", text, labels=labels)
            for values, number in totals.of(name):
                counter.add_metric([self._named(value) for value in values], number)
            yield counter
        for name, (metric, text) in _HISTOGRAMS.items():
            sketches = {self._named(key[1]): each for key, each in totals.sketches.items() if key[0] == name}
            yield _histogram(metric, text, sketches)
        yield _histogram("loop_lag_seconds", "By how much the loop was late", {"": self.lag}, ())
        for name, (text, labels) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=labels)
            for key, number in sorted(gauges.items()):
                if key[0] == name:
                    gauge.add_metric([self._named(value) for value in key[1:]], number)
            yield gauge

    def _named(self, value: str) -> str:
        label = self._names.get(value)
        if label is None:
            label, taken = named(value).encode("utf-8", "replace").decode(), set(self._names.values())
            for number in itertools.count(2):
                if label not in taken:
                    break
                label = f"{named(value)} ({number})"
            self._names[value] = label
        return label

    def _of_store(self) -> _Gauges:
        """Count the jobs of a store by platform; those of platforms that no run has declared together."""
        found: _Gauges = {}
        for platform, jobs in self._stored.items():
            label = platform if platform in self._declared else "*"
            for state in _STATES:
                found["store_jobs", label, state] = found.get(("store_jobs", label, state), 0) + getattr(jobs, state)
            if jobs.oldest is not None:
                key = "store_oldest_seconds", label
                found[key] = max(found.get(key, 0.0), jobs.oldest)
        return found

    def __repr__(self) -> str:
        """Count the runs."""
        return f"<Prometheus of {len(self._runs[1])} runs>"


def _histogram(metric: str, text: str, sketches: Mapping[str, Sketch], labels: Sequence[str] = ("platform",)) -> Metric:
    found = HistogramMetricFamily(f"{_PREFIX}{metric}", text, labels=labels)
    for platform, sketch in sorted(sketches.items()):
        counts, count, total = sketch.histogram(_BOUNDS)
        buckets: Sequence[tuple[str, float]] = [
            *(
                (f"{bound:g}" if bound % 1 else f"{bound:.1f}", below)
                for bound, below in zip(_BOUNDS, counts, strict=True)
            ),
            ("+Inf", count),
        ]
        found.add_metric([platform][: len(labels)], list(buckets), total)
    return found
