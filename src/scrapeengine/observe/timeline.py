"""What a timeline shows: tasks, closings and the pace of requests, in bounded memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from scrapeengine.decide.bars import BarChoice
from scrapeengine.decide.pace import PaceCount
from scrapeengine.decide.texts import text_of
from scrapeengine.model.history import Bar, ClosedSpan, Example, RunHistory
from scrapeengine.model.instrument import (
    ConnectionOpened,
    PlatformOpened,
    PlatformShut,
    RateChanged,
    RunStarted,
    TaskEnded,
    TaskParked,
    TaskResumed,
)
from scrapeengine.model.outcome import KINDS, Failure, Outcome
from scrapeengine.model.policy import longest_interval
from scrapeengine.model.urls import named
from scrapeengine.observe.labels import Labels

__all__ = ["Timeline"]

_TIMES = 64
"""How many instants of one task are kept, of each sort."""
_TEXT, _ID = 500, 200
"""How many characters of a text are kept."""
_LONG = 2_000
"""How many characters an id may have that is kept as it is."""
_EXAMPLES, _CLOSINGS = 100, 400


@attrs.define(eq=False)
class _Spans:
    """When a task that is live was parked, and when it connected."""

    parked: list[float] = attrs.field(factory=list)
    connecting: list[float] = attrs.field(factory=list)


class Timeline:
    """Listens to one run. It is a part of a `Recording`, and a `RequestMeter`; by hooks it hears of the ends of tasks.

    Of tasks that are live it keeps those only that were parked or have connected.

    Size: 18 methods, for the calls of a `RequestMeter` are there that it does nothing on.
    """

    def __init__(self, labels: Labels, bars: int) -> None:
        """Make it.

        Args:
            labels: the names under which platforms are counted.
            bars: how many tasks are kept.
        """
        self._labels = labels
        self._most = bars
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        self._began = now
        self._bars = BarChoice(self._most, random.random)
        self._live: dict[tuple[str, str], _Spans] = {}
        self._examples: dict[str, Example] = {}
        self._closings: dict[int, ClosedSpan] = {}
        """By their number, so that one that ends is replaced."""
        self._closed: dict[str, int] = {}
        """The number of the closing of each platform that is closed, of those that are kept."""
        self._left_out = 0
        self._paces: dict[str, PaceCount] = {}

    def run_started(self, details: RunStarted) -> None:
        """Begin anew."""
        self._begin(details.time)
        settings = details.settings.platforms
        for name in details.platforms:
            rates = settings[name].rate if name in settings and name != details.default else ()
            self._paces[name] = PaceCount(details.time, 1 / longest_interval(rates) if rates else None)

    def task_parked(self, details: TaskParked) -> None:
        """Hear since when a task is parked."""
        parked = self._spans(details.platform, details.event.id).parked
        if len(parked) < _TIMES:
            parked.append(details.time)

    def task_resumed(self, details: TaskResumed) -> None:
        """Hear until when it was."""
        parked = self._spans(details.platform, details.event.id).parked
        if len(parked) % 2:
            parked.append(details.time)

    def connection_opened(self, details: ConnectionOpened) -> None:
        """Hear how long a task has connected."""
        connecting = self._spans(details.by, details.event.id).connecting
        if len(connecting) < _TIMES:
            connecting += (details.time - details.seconds, details.time)

    def request_sent(self, to: str) -> None:
        """Count a request, where it goes."""
        pace = self._paces.get(to)
        if pace is None:
            name = self._labels.of(to)
            pace = self._paces.get(name)
            if pace is None:
                pace = self._paces[name] = PaceCount(self._began, None)
        pace.add(trio.current_time())

    def request_over(self, *_: object) -> None:
        """Do nothing: it was counted when it was sent."""

    def task_began(self, *_: object) -> None:
        """Do nothing: it is drawn once it has ended."""

    def task_returned(self, *_: object) -> None:
        """Do nothing: it is heard of by a hook, with the task."""

    def task_ended(self, details: TaskEnded) -> None:
        """Keep it, perhaps."""
        outcome, time = details.outcome, details.time
        kind = KINDS[type(outcome)]
        error = self._failed(outcome, time) if kind == "failed" else ""
        name, platform = outcome.event.id, outcome.platform
        spans = self._live.pop((platform, name), None) if self._live else None
        parked: tuple[float, ...] = ()
        connecting: tuple[float, ...] = ()
        if spans is not None:
            connecting = tuple(spans.connecting)
            parked = tuple(spans.parked) if len(spans.parked) % 2 == 0 else (*spans.parked, time)
        ran = outcome.parked + outcome.ran
        if len(name) > _LONG:
            name = named(name)[:_ID]  # in this order, for a part of a secret is one
        self._bars.add(
            Bar(platform, name, kind, error, time, outcome.queued, ran, outcome.attempts, parked, connecting)
        )

    def platform_shut(self, details: PlatformShut) -> None:
        """Hear that a platform is closed, or for longer."""
        platform = details.platform
        number = self._closed.get(platform)
        if number is not None:
            self._closings[number] = attrs.evolve(self._closings[number], until=details.until)
        elif len(self._closings) < _CLOSINGS:
            number = self._closed[platform] = len(self._closings)
            self._closings[number] = ClosedSpan(self._labels.of(platform), details.time, details.until, None)
        else:
            self._left_out += 1

    def platform_opened(self, details: PlatformOpened) -> None:
        """Hear that it is open again."""
        number = self._closed.pop(details.platform, None)
        if number is not None:
            self._closings[number] = attrs.evolve(self._closings[number], ended=details.time)

    def rate_changed(self, details: RateChanged) -> None:
        """Know what is allowed."""
        pace = self._paces.get(details.platform)
        if pace is not None and details.platform != self._labels.default:  # whose rate is that of each host
            pace.allow(1 / details.interval if details.interval else None, details.time)

    def history(
        self, now: float, spread: Mapping[str, Mapping[str, tuple[tuple[float, float, int], ...]]]
    ) -> RunHistory:
        """Freeze what is known. From any thread.

        Args:
            now: the time, of the run's clock.
            spread: the histograms that go with it.
        """
        bars = self._bars.chosen()
        return RunHistory(
            began=self._began,
            default=self._labels.default,
            bars=bars,
            left_out=self._bars.left_out(bars),
            examples=self._examples.copy(),
            closings=tuple(self._closings.copy().values()),
            closings_left_out=self._left_out,
            paces={name: pace.pace(now) for name, pace in sorted(self._paces.copy().items())},
            spread=spread,
        )

    def _spans(self, platform: str, id: str) -> _Spans:
        spans = self._live.get((platform, id))
        if spans is None:
            spans = self._live[platform, id] = _Spans()
        return spans

    def _failed(self, outcome: Outcome[Any], time: float) -> str:
        assert isinstance(outcome, Failure)
        error = type(outcome.error).__name__
        if error not in self._examples and len(self._examples) < _EXAMPLES:
            shown, text = named(outcome.event.id)[:_ID], text_of(outcome.error)[:_TEXT]
            self._examples[error] = Example(time, outcome.platform, shown, text)
        return error

    def __repr__(self) -> str:
        """Say what it keeps."""
        return f"<Timeline, {self._bars!r}>"
