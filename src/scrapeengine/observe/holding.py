"""What held each platform back, and for how much of the time."""

from __future__ import annotations

from scrapeengine.decide.binding import Binding, Coming, sentence
from scrapeengine.decide.holding import Holdup
from scrapeengine.model.figures import HeldBack
from scrapeengine.model.instrument import LimitChanged, RateChanged, RunStarted
from scrapeengine.model.policy import longest_interval
from scrapeengine.model.urls import named
from scrapeengine.observe.labels import Labels

__all__ = ["Holding"]


class Holding:
    """Hears what holds the platforms of one run back.

    It is a part of a `Recording`, a `HoldupMeter`, and has hooks for what is rare.
    """

    def __init__(self, labels: Labels) -> None:
        """Make it.

        Args:
            labels: the names under which platforms are counted.
        """
        self._labels = labels
        self._binding = Binding((), 0.0)
        self._limits: dict[str, int] = {}
        """The limits of the platforms, as they are now."""
        self._intervals: dict[str, float] = {}
        """The seconds between two of their requests; 0: they have no rate."""

    def run_started(self, details: RunStarted) -> None:
        """Begin anew; each declared platform is there from the beginning."""
        self._binding = Binding(details.platforms, details.time)
        settings = details.settings.platforms
        self._limits = {name: each.limit for name, each in settings.items()}
        self._intervals = {name: longest_interval(each.rate) for name, each in settings.items()}

    def comes(self, how: Coming | Holdup, now: float) -> None:
        """Hear how work comes from now on, or who takes outcomes too slowly, for which none is asked for."""
        self._binding.comes(how, now)

    def held(self, platform: str, by: Holdup, now: float) -> None:
        """Hear what holds a platform back from now on."""
        self._binding.held(platform, self._labels.of(platform), by.value, now)

    def limit_changed(self, details: LimitChanged) -> None:
        """Know the limit of a platform; what other engines leave it is none of its own."""
        if details.platform in self._limits and details.reason == "limit":
            self._limits[details.platform] = details.limit

    def rate_changed(self, details: RateChanged) -> None:
        """Know the rate of a platform."""
        if details.platform in self._intervals:
            self._intervals[details.platform] = details.interval

    def shares(self, now: float) -> dict[str, HeldBack]:
        """Say what held each platform back up to now. From any thread."""
        found = {}
        for name, shares in self._binding.shares(now).items():
            known = name if name in self._limits else self._labels.default
            words = sentence(named(name), shares, self._limits.get(known, 0), self._intervals.get(known, 0.0))
            found[name] = HeldBack(shares=shares, sentence=words)
        return found

    def seconds(self, now: float) -> dict[str, dict[str, float]]:
        """Return the seconds by platform and by what held it back, up to now. From any thread."""
        return self._binding.seconds(now)

    def intervals(self) -> dict[str, float]:
        """Return the seconds between two requests, by platform; 0: it has no rate. From any thread."""
        return self._intervals.copy()

    def event_limit(self, now: float) -> float:
        """Return the share of time in which the event limit held any platform back. From any thread."""
        return self._binding.event_limit(now)

    def __repr__(self) -> str:
        """Count the platforms."""
        return f"<Holding, {self._binding!r}>"
