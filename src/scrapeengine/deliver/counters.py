"""Counts of what a run has done so far."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import attrs

from scrapeengine.model.outcome import KINDS, Failure, Outcome
from scrapeengine.model.report import Counts, Report
from scrapeengine.observe.instruments import Instruments
from scrapeengine.schedule.clock import Anchor
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Counters"]


@uninterrupted
@attrs.define(eq=False)
class Counters:
    """The counts of one run. How many there are depends on the declared platforms and the kinds of errors only.

    Size: 16 attributes, most of them one number each.
    """

    anchor: Anchor
    declared: frozenset[str]
    """The platforms that are counted by name."""
    default: str
    """The name under which all others are counted."""
    events: int = 0
    tasks: int = 0
    unread: int = 0
    undelivered: int = 0
    returned: int = 0
    lost: int = 0
    redelivered: int = 0
    set_aside: Counter[str] = attrs.field(factory=Counter)
    """Outcomes that sinks have refused, by the file that has them."""
    ran: float = 0.0
    """Seconds that all tasks ran, added up."""
    ended: float | None = None
    """When the run ended."""
    _outcomes: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)
    _errors: Counter[str] = attrs.field(factory=Counter, init=False)
    _closed: dict[str, float] = attrs.field(factory=dict, init=False)

    def add(self, outcome: Outcome[Any]) -> Failure | None:
        """Count an outcome, and return it if it is a failure, which is to be told."""
        failure = None
        match outcome:
            case Failure(error=error):
                failure = outcome
                self._errors[type(error).__name__] += 1
        platform = outcome.platform if outcome.platform in self.declared else self.default
        self._outcomes[platform, KINDS[type(outcome)]] += 1
        self.ran += outcome.ran
        return failure

    def duplicate(self, platform: str) -> None:
        """Count a task that was not accepted, because it is known."""
        self._outcomes[platform if platform in self.declared else self.default, "duplicates"] += 1

    def closed(self, platform: str, seconds: float) -> None:
        """Count that a platform has asked not to be called for so long."""
        name = platform if platform in self.declared else self.default
        self._closed[name] = max(seconds, self._closed.get(name, 0.0))

    def by_platform(self) -> dict[str, Counts]:
        """Freeze how tasks have ended, by platform. From any thread."""
        found: dict[str, dict[str, int]] = {}
        for (platform, kind), count in self._outcomes.copy().items():
            found.setdefault(platform, {})[kind] = count
        return {name: Counts(**kinds) for name, kinds in sorted(found.items())}

    def report(self, stopped: str | None, instruments: Instruments) -> Report:
        """Freeze the counts of a run. From any thread.

        Args:
            stopped: why it was stopped; None: it was not.
            instruments: who listens: one of them may keep figures.
        """
        platforms = self.by_platform()
        outcomes = Counts(**{kind: sum(getattr(each, kind) for each in platforms.values()) for kind in _KINDS})
        ended = self.anchor.now() if self.ended is None else self.ended
        return Report(
            started=datetime.fromtimestamp(self.anchor.wall_time, UTC),
            elapsed=ended - self.anchor.trio_time,
            events=self.events,
            duplicates=outcomes.duplicates,
            tasks=self.tasks,
            outcomes=outcomes,
            platforms=platforms,
            errors=dict(self._errors),
            unread=self.unread,
            undelivered=self.undelivered,
            stopped=stopped,
            returned=self.returned,
            lost=self.lost,
            redelivered=self.redelivered,
            set_aside=dict(self.set_aside.copy()),
            closed=dict(sorted(self._closed.copy().items())),
            figures=instruments.figures(ended),
            one_by_one=self.ran,
        )


_KINDS = tuple(field.name for field in attrs.fields(Counts))
