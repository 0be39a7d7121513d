"""The recording of a run: what its report can tell beyond the outcomes. It is an instrument that is made of others."""

from __future__ import annotations

from scrapeengine.decide.sketch import Sketch
from scrapeengine.model.checks import whole
from scrapeengine.model.figures import Figures
from scrapeengine.model.instrument import Instrument, RunStarted
from scrapeengine.observe.counting import Counting, PlatformCounts
from scrapeengine.observe.holding import Holding
from scrapeengine.observe.labels import Labels
from scrapeengine.observe.timeline import Timeline

__all__ = ["Recording"]


class Recording(Instrument):
    """Records a run: give it to `stream`, `run` or `serve` among the `instruments`, and its figures are in the report.

    What it needs depends on the number of platforms, and not on how long the run is: some 20 kB for each, less than a
    megabyte whatever happens, and half a kilobyte for each task of the timeline. One recording listens to one run at a
    time, and begins anew with the next one; one that joins a run (`run.watch`) knows what happens from then on.

    Size: the hooks of `Instrument`, which are its parts' to hear.
    """

    def __init__(self, *, hosts: int = 0, timeline: int = 5_000) -> None:
        """Make it.

        Args:
            hosts: how many of the hosts that the engine's default serves are told apart, the first that come. All
                others are counted together, under the default's name.
            timeline: how many tasks `Report.write_html` can show at most: the slowest, failures, the first and the last
                of each kind, and a sample of all others; 0: none of that is recorded.

        Raises:
            TypeError: one of them is no whole number.
            ValueError: one is less than 0.
        """
        self._labels = Labels(whole(hosts, "Recording(hosts=…)", least=0))
        self._counting = Counting(self._labels)
        self._holding = Holding(self._labels)
        bars = whole(timeline, "Recording(timeline=…)", least=0)
        self._timeline = Timeline(self._labels, bars) if bars else None

    @property
    def parts(self) -> tuple[object, ...]:
        """The instruments that it is made of; they are told by the run itself, after it."""
        parts = (self._counting, self._holding)
        return parts if self._timeline is None else (*parts, self._timeline)

    def run_started(self, details: RunStarted, /) -> None:
        """Begin anew."""
        self._labels.begin(details)

    def label(self, platform: str) -> str:
        """Return the name under which a platform is counted; one that was not heard of yet gets no name by that."""
        return self._labels.known(platform)

    def sketches(self) -> dict[str, dict[str, Sketch]]:
        """Return the sketches of "connect", "head", "whole", "queued" and "parked" by platform. From any thread."""
        return self._counting.sketches()

    def counts(self) -> dict[str, PlatformCounts]:
        """Return the counts themselves, which go on, by platform. From any thread."""
        return self._counting.counts()

    def intervals(self) -> dict[str, float]:
        """Return the seconds between two requests, by platform; 0: it has no rate. From any thread."""
        return self._holding.intervals()

    def recorded(self, now: float) -> Figures:
        """Return the figures as they are. From any thread.

        Args:
            now: the time, of the run's clock.
        """
        counting, holding, timeline = self._counting, self._holding, self._timeline
        return Figures(
            platforms=counting.figures(),
            held=holding.shares(now),
            event_limit=holding.event_limit(now),
            history=None if timeline is None else timeline.history(now, counting.spread()),
        )

    def held_seconds(self, now: float) -> dict[str, dict[str, float]]:
        """Return the seconds by platform and by what held it back, up to a time of the run's clock. From any thread."""
        return self._holding.seconds(now)

    def __repr__(self) -> str:
        """Say what it is made of."""
        return f"<Recording of {', '.join(map(repr, self.parts))}>"
