"""The report of a run, and its statistics while it goes on."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from scrapeengine.model.checks import number
from scrapeengine.model.described import described
from scrapeengine.model.figures import Figures
from scrapeengine.model.tables import plain, size, table, time
from scrapeengine.model.urls import named

__all__ = ["Counts", "PlatformStatistics", "Report", "Statistics"]


@described
@attrs.frozen(kw_only=True)
class Counts:
    """Outcomes, by kind."""

    succeeded: int = 0
    """Tasks whose scraper returned."""
    failed: int = 0
    """Tasks that failed, for good."""
    skipped: int = 0
    """Tasks that ended because there was nothing to do, or nothing that may be done."""
    cancelled: int = 0
    """Tasks that the run did not let come to their end."""
    duplicates: int = 0
    """Tasks that were not accepted, because they were known; they have no outcome of their own."""

    @property
    def total(self) -> int:
        """All outcomes."""
        return self.succeeded + self.failed + self.skipped + self.cancelled


@described
@attrs.frozen(kw_only=True)
class Report:
    """Counts of what a run has done so far; once it has ended, of all that it did. `print(report)` shows it as a table.

    In the end `tasks == outcomes.total + returned + lost`.

    Size: 19 attributes, a record of one run.
    """

    started: datetime
    """When the run began, in UTC."""
    elapsed: float
    """Seconds from then to its end, or to now."""
    events: int
    """Events accepted, from the source and by `task.follow`."""
    duplicates: int
    """Tasks not accepted, because an event of that id is known on that platform; by platform in `platforms`."""
    tasks: int
    """Tasks accepted: one for each event on each of its platforms."""
    outcomes: Counts
    """How the tasks ended."""
    platforms: Mapping[str, Counts]
    """The same by platform; the hosts that the engine's default serves count under the default's name."""
    errors: Mapping[str, int]
    """Failures by the class of their error."""
    unread: int
    """Outcomes that no one read: the consumer had left, or there was none."""
    stopped: str | None
    """Why the run ended before its work did; None if it did not."""
    undelivered: int = 0
    """Outcomes that sinks did not take in time, when the run was stopped or left; a store keeps them for later."""
    returned: int = 0
    """Tasks that were given back to the store, and have no outcome: the run was stopped, or the platform closed."""
    lost: int = 0
    """Tasks whose lease in the store was lost, and that have no outcome here: they are somebody else's."""
    redelivered: int = 0
    """Outcomes of earlier runs that went to sinks which had not had them, each once for each; not counted above."""
    closed: Mapping[str, float] = attrs.field(factory=dict)
    """Platforms that were closed for longer than their `Retry.patience`, each with the longest time, in seconds; hosts
    that the default serves count under the default's name."""
    set_aside: Mapping[str, int] = attrs.field(factory=dict)
    """Outcomes that sinks have refused, by the path of the file that has them; `python -m scrapeengine deliver` brings
    them in again."""
    overran: float = 0.0
    """Seconds for which a round was still running when the next was due; 0: it was not."""
    figures: Figures | None = None
    """Requests, bytes and times by platform; None: no `se.observe.Recording()` was among the run's instruments."""
    one_by_one: float = 0.0
    """Seconds that a loop would have taken which runs one task after the other: those that all tasks ran, added up."""

    def ok(self, max_failures: float = 0.0) -> bool:
        """Say whether the run has done its work: not stopped, nothing refused by sinks, no more failures than may be.

        Args:
            max_failures: the share of all outcomes that may be failures, from 0 to 1: with 0.01 it is one in a hundred.

        Raises:
            TypeError: that is no number.
            ValueError: it is no share.
        """
        share = number(max_failures, "ok(max_failures=…)", zero=True, instead="; 0.01 is one in a hundred")
        if share > 1:
            raise ValueError(f"ok(max_failures=…) must be at most 1, got {max_failures}; 0.01 is one in a hundred")
        whole = self.stopped is None and not self.set_aside
        return whole and self.outcomes.failed <= share * self.outcomes.total

    def exit_code(self, max_failures: float = 0.0) -> int:
        """Return what a script exits with: 0 where the report is `ok`, else 1.

        Args:
            max_failures: as for `ok`.
        """
        return 0 if self.ok(max_failures) else 1

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in dicts, texts and numbers, as JSON has them; the date is in ISO 8601."""
        found: dict[str, Any] = plain(self)
        return found

    def to_json(self, indent: int | None = None) -> str:
        """Return all of it as JSON.

        Args:
            indent: the blanks by which each level is set in; None: all is one line.
        """
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as a page for a browser, in one file that needs no network.

        Figures, the timeline, latencies, and what held each platform back are on it where a `Recording` was among the
        run's instruments; else it says how to have them. It is written aside and then renamed: what was there before is
        there until then, and no half of it is ever seen. It blocks while it writes: some 50 ms for 5,000 tasks.

        Args:
            path: the file.

        Raises:
            OSError: it could not be written; nothing is left beside it.
        """
        # What draws pages knows reports, and is imported when one is drawn.
        importlib.import_module("scrapeengine.observe.html").write_html(self, path)

    def __str__(self) -> str:
        """Return it as it is read: a table, what had trouble, and what held the run back."""
        parts = [_outcomes(self), _trouble(self), _RECORD.splitlines()]
        if self.figures is not None:
            parts[2:] = [_requests(self.figures), _holdups(self.figures)]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)


@described
@attrs.frozen(kw_only=True)
class PlatformStatistics:
    """The statistics of one platform."""

    limit: int
    """The most tasks that may run at once."""
    running: int
    """Tasks that hold a slot."""
    parked: int
    """Tasks that were started and hold none."""
    waiting: int
    """Tasks not started yet."""
    opens_in: float
    """Seconds until a request may start: for the rate, or because the platform is closed."""
    held_by: str = "nothing"
    """What holds it back at this instant: a "pause" (a limit of 0, or in the store), a "penalty" (it is closed), its
    "limit", the "share" that other engines leave, its "rate", its "parked" tasks, the "consumer", the "sinks" or the
    "store" (who takes outcomes too slowly), the "event limit", or "nothing"; where no work waits there, what of the
    first two would."""
    held_for: float = 0.0
    """Seconds for which that has been so. A pause counts from when it began, in this run; a penalty from when the
    platform closed; all else from when a task last started or went on there, while work waited."""


@described
@attrs.frozen(kw_only=True)
class Statistics:
    """The statistics of a run at this instant; once it is over, as of its end.

    They may be taken in any thread. Then each number was true at some instant in between, not all at the same.

    Size: 11 attributes, a record of one instant.
    """

    event_limit: int
    """The most events that may be in progress at once."""
    in_progress: int
    """Events that hold an event slot."""
    live: int
    """Events accepted and not ended."""
    running: int
    """Tasks that hold a slot, on all platforms."""
    parked: int
    """Tasks that were started and hold none."""
    waiting: int
    """Tasks not started yet."""
    buffered: int
    """Outcomes that wait for the consumer or the sinks."""
    platforms: Mapping[str, PlatformStatistics]
    """The same by platform: those that were declared or tuned, with work or without, and hosts that have work or are
    closed."""
    closed: Mapping[str, float] = attrs.field(factory=dict)
    """The platforms that are under penalty, whether or not they have work, each with the seconds until it opens."""
    events: int = 0
    """Events accepted so far."""
    outcomes: Mapping[str, Counts] = attrs.field(factory=dict)
    """How tasks have ended so far, by platform as in `Report.platforms`."""


_RECORD = "for requests, times and what held each platform back: instruments=[se.observe.Recording()]"


def _outcomes(report: Report) -> list[str]:
    """List how tasks ended, first all of them, and then by platform, those with most outcomes first."""
    kinds = [field.name for field in attrs.fields(Counts)]
    platforms = sorted(report.platforms.items(), key=lambda item: (-item[1].total, item[0]))
    counts = [("in all", attrs.evolve(report.outcomes, duplicates=report.duplicates)), *platforms]
    rows = [[named(name), each.total, *(getattr(each, kind) for kind in kinds)] for name, each in counts]
    accepted = report.events
    head = f"{accepted:,} events, {report.tasks:,} tasks in {time(report.elapsed)}"
    if report.outcomes.total and report.elapsed:
        head += f", {report.outcomes.total / report.elapsed:.3g} outcomes a second"
    return [head, "", *table(["platform", "outcomes", *kinds], rows)]


def _trouble(report: Report) -> list[str]:
    lines = [] if report.stopped is None else [f"it ended before its work did: {report.stopped}"]
    failures = sorted(report.errors.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"{count:,} failed with {name}" for name, count in failures]
    lines += [f"{named(name)} was closed for {time(seconds)}" for name, seconds in report.closed.items()]
    lines += [f"{count:,} outcomes were set aside in {path}" for path, count in report.set_aside.items()]
    words = {
        "unread": "outcomes were not read",
        "undelivered": "outcomes did not reach the sinks",
        "returned": "tasks were given back to the store",
        "lost": "tasks were lost to others",
        "redelivered": "outcomes of earlier runs went to the sinks",
    }
    return lines + [f"{getattr(report, name):,} {what}" for name, what in words.items() if getattr(report, name)]


def _requests(figures: Figures) -> list[str]:
    head = ["platform", "requests", "retries", "failed", "4xx", "5xx", "received", "opened", "reused"]
    head += ["head p50", "p99", "queued p50", "parked p50"]
    rows = []
    for name, each in sorted(figures.platforms.items(), key=lambda item: (-item[1].requests, item[0])):
        classes = [sum(count for status, count in each.statuses.items() if status // 100 == kind) for kind in (4, 5)]
        row = [named(name), each.requests, each.retries, each.failed + each.cut_off, *classes]
        row += [size(each.received + each.left), each.opened, each.reused]
        row += [time(value) for value in (each.head.p50, each.head.p99, each.queued.p50, each.parked.p50)]
        rows.append(row)
    return table(head, rows)


def _holdups(figures: Figures) -> list[str]:
    lines = [each.sentence for each in list(figures.held.values())[:40]]
    if figures.event_limit >= 0.01:
        lines.append(f"the event limit held some platform back {figures.event_limit * 100:.0f} % of the time")
    return lines
