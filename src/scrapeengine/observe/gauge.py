"""What progress measures of a run: the pace of requests, how long tasks hold their slots, and which run for longest."""

from __future__ import annotations

from collections import deque
from itertools import islice

import attrs

from scrapeengine.decide.progress import Gauged
from scrapeengine.decide.sketch import Sketch
from scrapeengine.model.instrument import RateChanged, RequestEnded, RunStarted, TaskEnded, TaskStarted
from scrapeengine.model.policy import longest_interval

__all__ = ["Gauge"]

_LATE = 5.0
"""Seconds over which the pace of requests is taken."""


@attrs.define(eq=False)
class _Meter:
    """What was measured of one platform."""

    interval: float = 0.0
    requests: int = 0
    ran: Sketch = attrs.field(factory=Sketch)
    looks: deque[tuple[float, int]] = attrs.field(factory=deque)
    """How many requests there had been at each look, of the last seconds."""

    def gauged(self, now: float) -> Gauged:
        """Say what it has measured."""
        looks, ended = self.looks, self.ran.count
        looks.append((now, self.requests))
        while len(looks) > 2 and looks[1][0] <= now - _LATE:
            looks.popleft()
        since, before = looks[0]
        return Gauged(
            pace=(self.requests - before) / (now - since) if now > since else 0.0,
            median=self.ran.quantile(0.5) if ended else None,
            mean=self.ran.total / ended if ended else None,
            requests=self.requests / ended if ended else 1.0,
            interval=self.interval,
        )


class Gauge:
    """An instrument that measures; what it keeps depends on the platforms, and on the tasks that run."""

    def __init__(self) -> None:
        """Make it."""
        self.default = ""
        """The name under which the hosts are measured that the engine's default serves."""
        self._meters: dict[str, _Meter] = {}
        self._running: dict[tuple[str, str], float] = {}
        """When each task started that runs; the first has been running for longest."""

    def run_started(self, details: RunStarted) -> None:
        """Know the platforms and their rates; each has a look at the very beginning, from which its pace is taken."""
        settings = details.settings.platforms
        self.default = details.default
        for name in details.platforms:
            rates = settings[name].rate if name in settings else ()
            meter = self._meters[name] = _Meter(longest_interval(rates))
            meter.looks.append((details.time, 0))

    def rate_changed(self, details: RateChanged) -> None:
        """Know another rate."""
        if details.platform in self._meters:
            self._meters[details.platform].interval = details.interval

    def task_started(self, details: TaskStarted) -> None:
        """Know that a task runs."""
        self._running[details.platform, details.event.id] = details.time

    def task_ended(self, details: TaskEnded) -> None:
        """Measure how long it held its slot."""
        outcome = details.outcome
        self._running.pop((outcome.platform, outcome.event.id), None)
        self._of(outcome.platform).ran.add(outcome.ran)

    def request_ended(self, details: RequestEnded) -> None:
        """Count it, where it went."""
        self._of(details.to).requests += 1

    def gauged(self, now: float) -> dict[str, Gauged]:
        """Say what was measured, by platform; hosts that the engine's default serves are under its name."""
        return {name: meter.gauged(now) for name, meter in self._meters.items()}

    def slowest(self, now: float, most: int) -> list[tuple[str, str, float]]:
        """List the tasks that have been running for longest, with platform, id, and for how long."""
        return [(platform, task, now - since) for (platform, task), since in islice(self._running.items(), most)]

    def _of(self, platform: str) -> _Meter:
        meter = self._meters.get(platform)
        if meter is None:
            meter = self._meters.setdefault(self.default, _Meter())
        return meter

    def __repr__(self) -> str:
        """Count what it measures."""
        return f"<Gauge of {len(self._meters)} platforms>"
