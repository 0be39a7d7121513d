"""Counts of requests and of time, by platform: as many counters as there are platforms, however long the run is."""

from __future__ import annotations

import attrs

from scrapeengine.decide.sketch import AT_ONCE, Sketch
from scrapeengine.decide.spread import spread_of
from scrapeengine.model.figures import PlatformFigures
from scrapeengine.model.history import Spread
from scrapeengine.model.instrument import (
    ConnectionOpened,
    RetryDecided,
    RunStarted,
    TaskRetried,
)
from scrapeengine.observe.labels import Labels

__all__ = ["Counting", "PlatformCounts"]


@attrs.define(eq=False, repr=False)
class PlatformCounts:
    """The counts of one platform.

    Size: 18 attributes, one for each figure.
    """

    sent: int = 0
    """Requests that were sent."""
    silent: int = 0
    """Requests that no answer has come to."""
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
    head_is_whole: Sketch = attrs.field(factory=Sketch)
    """Those of both, where all came with the head, on a kept connection: they are the same, and most are."""
    queued: Sketch = attrs.field(factory=Sketch)
    parked: Sketch = attrs.field(factory=Sketch)

    def figures(self) -> PlatformFigures:
        """Freeze them. From any thread."""
        failed, cut_off, silent, statuses = self.failed, self.cut_off, self.silent, self.statuses.copy()
        requests = silent + sum(statuses.values())
        return PlatformFigures(
            requests=requests,
            answered=requests - failed - cut_off,
            failed=failed,
            cut_off=cut_off,
            statuses=dict(sorted(statuses.items())),
            retries=self.retries,
            reruns=self.reruns,
            received=self.received,
            decoded=self.decoded,
            left=self.left,
            opened=self.opened,
            reused=self.reused,
            **{of: sketch.distribution() for of, sketch in self.sketches().items()},
        )

    @property
    def requests(self) -> int:
        """Those that have ended."""
        return self.silent + sum(self.statuses.copy().values())

    @property
    def in_flight(self) -> int:
        """Those that have not."""
        return max(0, self.sent - self.requests)  # in another thread the two may be of two instants

    def sketches(self) -> dict[str, Sketch]:
        """Return what was seen of times, by what they are of. From any thread."""
        both = self.head_is_whole
        return {
            "connect": self.connect,
            "head": self.head.and_of(both),
            "whole": self.whole.and_of(both),
            "queued": self.queued,
            "parked": self.parked,
        }


class Counting:
    """Counts one run. It is a part of a `Recording`, a `RequestMeter`, and has hooks for what is rare."""

    def __init__(self, labels: Labels) -> None:
        """Make it.

        Args:
            labels: the names under which platforms are counted.
        """
        self._labels = labels
        self._counts: dict[str, PlatformCounts] = {}

    def run_started(self, details: RunStarted) -> None:
        """Begin anew; each declared platform is there from the beginning."""
        self._counts = {name: PlatformCounts() for name in details.platforms}

    def task_began(self, platform: str, queued: float) -> None:
        """Count a task that starts, and for how long it has waited for that."""
        queue = (self._counts.get(platform) or self._of(platform)).queued
        waiting = queue.state[1]  # no call of `add`: this is done for each task
        waiting.append(queued)
        if len(waiting) >= AT_ONCE:
            queue.look()

    def task_returned(self, platform: str, parked: float) -> None:
        """Count how long a task was parked."""
        self._of(platform).parked.add(parked)

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

    def request_sent(self, to: str) -> None:
        """Count a request that is on its way."""
        (self._counts.get(to) or self._of(to)).sent += 1

    def request_over(
        self,
        to: str,
        status: int,
        error: BaseException | None,
        received: int,
        decoded: int,
        head: float | None,
        seconds: float,
        kept: bool,  # noqa: FBT001 - as `RequestMeter` has it
        whole: bool,  # noqa: FBT001 - as above
    ) -> None:
        """Count a request, where it went."""
        counts = self._counts.get(to) or self._of(to)
        if status:
            counts.statuses[status] = counts.statuses.get(status, 0) + 1
        else:
            counts.silent += 1
        if error is not None:
            if isinstance(error, Exception):
                counts.failed += 1
            else:
                counts.cut_off += 1
        if kept:
            counts.reused += 1
        if whole:
            counts.received += received
            counts.decoded += decoded
            if head == seconds:
                both = counts.head_is_whole
                waiting = both.state[1]  # as in `task_began`
                waiting.append(seconds)
                if len(waiting) >= AT_ONCE:
                    both.look()
                return
            counts.whole.add(seconds)
        else:
            counts.left += received
        if head is not None:
            counts.head.add(head)

    def figures(self) -> dict[str, PlatformFigures]:
        """Freeze the counts, by platform. From any thread."""
        return {name: counts.figures() for name, counts in sorted(self._counts.copy().items())}

    def sketches(self) -> dict[str, dict[str, Sketch]]:
        """Return the sketches by platform and by what they are of. From any thread."""
        return {name: each.sketches() for name, each in self._counts.copy().items()}

    def counts(self) -> dict[str, PlatformCounts]:
        """Return the counts themselves, which go on, by platform. From any thread."""
        return dict(sorted(self._counts.copy().items()))

    def spread(self) -> dict[str, Spread]:
        """Return histograms of the times, by platform and by what took them. From any thread."""
        found = sorted(self.sketches().items())
        return {name: {of: spread_of(sketch) for of, sketch in each.items()} for name, each in found}

    def _of(self, platform: str) -> PlatformCounts:
        """Return the counts of a platform. One that is counted by its name is looked up before, where that is often."""
        name = self._labels.of(platform)
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = PlatformCounts()
        return counts

    def __repr__(self) -> str:
        """Count the platforms."""
        return f"<Counting of {len(self._counts)} platforms>"
