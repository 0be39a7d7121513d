"""Totals of runs, as counters and histograms are: they only rise, from run to run too."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from scrapeengine.decide.sketch import Sketch
from scrapeengine.model.outcome import KINDS
from scrapeengine.model.report import Report
from scrapeengine.observe.recording import Recording

__all__ = ["Totals", "totals_of"]


@attrs.define(eq=False)
class Totals:
    """Numbers by the name of their metric and the values of its labels."""

    counters: dict[tuple[str, ...], float] = attrs.field(factory=dict)
    sketches: dict[tuple[str, ...], Sketch] = attrs.field(factory=dict)

    def add(self, value: float, *key: str) -> None:
        """Count something: the name of a metric, and the values of its labels."""
        self.counters[key] = self.counters.get(key, 0.0) + value

    def with_more(self, other: Totals) -> Totals:
        """Return both together; neither is changed."""
        found = Totals(self.counters.copy(), self.sketches.copy())
        for key, value in other.counters.items():
            found.add(value, *key)
        for key, sketch in other.sketches.items():
            both = Sketch()
            both.merge(sketch)
            if key in found.sketches:
                both.merge(found.sketches[key])
            found.sketches[key] = both
        return found

    def of(self, name: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the values of a counter by those of its labels, in their order."""
        for key, value in sorted(self.counters.items()):
            if key[0] == name:
                yield key[1:], value


def totals_of(recording: Recording, report: Report, now: float) -> Totals:
    """Return the totals of one run, as they are. From any thread.

    Args:
        recording: the run's.
        report: what it has done so far.
        now: when that is, of the run's clock.
    """
    totals = Totals()
    for platform, counts in report.platforms.items():
        for kind in KINDS.values():
            totals.add(getattr(counts, kind), "outcomes", platform, kind)
        totals.add(counts.duplicates, "duplicates", platform)
    for error, number in report.errors.items():
        totals.add(number, "failures", error)
    for platform, each in recording.counts().items():
        for status, number in each.statuses.copy().items():  # in one step, for they go on
            totals.add(number, "requests", platform, f"{status // 100}xx")
        totals.add(each.silent, "requests", platform, "none")
        totals.add(each.failed, "requests_unfinished", platform, "failed")
        totals.add(each.cut_off, "requests_unfinished", platform, "cut_off")
        totals.add(each.retries, "retries", platform)
        totals.add(each.reruns, "reruns", platform)
        totals.add(each.received, "received_bytes", platform, "whole")
        totals.add(each.left, "received_bytes", platform, "cut_off")
        totals.add(each.decoded, "decoded_bytes", platform)
        totals.add(each.opened, "connections", platform)
        totals.add(each.reused, "requests_on_kept_connections", platform)
    for platform, held in recording.held_seconds(now).items():
        for reason, seconds in held.items():
            totals.add(seconds, "held_back_seconds", platform, reason)
    for platform, sketches in recording.sketches().items():
        for name, sketch in sketches.items():
            totals.sketches[name, platform] = sketch
    return totals
