"""Counts of requests and of time, by platform: as many counters as there are platforms, however long the run is."""

from __future__ import annotations

import attrs

from scrapeengine.decide.sketch import Sketch
from scrapeengine.decide.spread import spread_of
from scrapeengine.model.figures import PlatformFigures
from scrapeengine.model.history import Spread
from scrapeengine.model.instrument import (
    ConnectionOpened,
    RequestEnded,
    RetryDecided,
    RunStarted,
    TaskResumed,
    TaskRetried,
    TaskStarted,
)
from scrapeengine.observe.labels import Labels

__all__ = ["Counting"]


@attrs.define(eq=False, repr=False)
class _Counts:
    """The counts of one platform.

    Size: 17 attributes, one for each figure.
    """

    answered: int = 0
    failed: int = 0
    cut_off: int = 0
    statuses: dict[int, int] = attrs.field(factory=dict)
    retries: int = 0
    reruns: int = 0
    received: int = 0
    decoded: int = 0
    left: int = 0
    opened: int = 0
    reused: int = 0
    connect: Sketch = attrs.field(factory=Sketch)
    head: Sketch = attrs.field(factory=Sketch)
    whole: Sketch = attrs.field(factory=Sketch)
    queued: Sketch = attrs.field(factory=Sketch)
    parked: Sketch = attrs.field(factory=Sketch)

    def request(self, details: RequestEnded) -> None:
        """Count a request that has ended."""
        if details.status is not None:
            self.statuses[details.status] = self.statuses.get(details.status, 0) + 1
        if details.cancelled:
            self.cut_off += 1
        elif details.error is not None:
            self.failed += 1
        else:
            self.answered += 1
        if details.kept:
            self.reused += 1
        if details.head is not None:
            self.head.add(details.head)
        if details.whole:
            self.received += details.received
            self.decoded += details.decoded
            self.whole.add(details.seconds)
        else:
            self.left += details.received

    def figures(self) -> PlatformFigures:
        """Freeze them. From any thread."""
        return PlatformFigures(
            requests=self.answered + self.failed + self.cut_off,
            answered=self.answered,
            failed=self.failed,
            cut_off=self.cut_off,
            statuses=dict(sorted(self.statuses.copy().items())),
            retries=self.retries,
            reruns=self.reruns,
            received=self.received,
            decoded=self.decoded,
            left=self.left,
            opened=self.opened,
            reused=self.reused,
            connect=self.connect.distribution(),
            head=self.head.distribution(),
            whole=self.whole.distribution(),
            queued=self.queued.distribution(),
            parked=self.parked.distribution(),
        )


class Counting:
    """Counts one run. It is a part of a `Recording`, and has hooks as any instrument."""

    def __init__(self, labels: Labels) -> None:
        """Make it.

        Args:
            labels: the names under which platforms are counted.
        """
        self._labels = labels
        self._counts: dict[str, _Counts] = {}

    def run_started(self, details: RunStarted) -> None:
        """Begin anew; each declared platform is there from the beginning."""
        self._counts = {name: _Counts() for name in details.platforms}

    def task_started(self, details: TaskStarted) -> None:
        """Count how long it has waited for that."""
        self._of(details.platform).queued.add(details.queued)

    def task_resumed(self, details: TaskResumed) -> None:
        """Count how long it was parked."""
        self._of(details.platform).parked.add(details.parked)

    def task_retried(self, details: TaskRetried) -> None:
        """Count a run of a scraper that comes again."""
        self._of(details.platform).reruns += 1

    def retry_decided(self, details: RetryDecided) -> None:
        """Count a request that is tried again."""
        self._of(details.platform).retries += 1

    def connection_opened(self, details: ConnectionOpened) -> None:
        """Count a connection."""
        counts = self._of(details.platform)
        counts.opened += 1
        counts.connect.add(details.seconds)

    def request_ended(self, details: RequestEnded) -> None:
        """Count a request, where it went."""
        self._of(details.to).request(details)

    def figures(self) -> dict[str, PlatformFigures]:
        """Freeze the counts, by platform. From any thread."""
        return {name: counts.figures() for name, counts in sorted(self._counts.copy().items())}

    def spread(self) -> dict[str, Spread]:
        """Return histograms of the times, by platform and by what took them. From any thread."""
        kinds = ("connect", "head", "whole", "queued", "parked")
        counts = sorted(self._counts.copy().items())
        return {name: {kind: spread_of(getattr(each, kind)) for kind in kinds} for name, each in counts}

    def _of(self, platform: str) -> _Counts:
        counts = self._counts.get(platform)  # a platform that is counted by its name needs no other one
        if counts is None:
            name = self._labels.of(platform)
            counts = self._counts.get(name)
            if counts is None:
                counts = self._counts[name] = _Counts()
        return counts

    def __repr__(self) -> str:
        """Count the platforms."""
        return f"<Counting of {len(self._counts)} platforms>"
