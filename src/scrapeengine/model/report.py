"""The report of a run, and its statistics while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from scrapeengine.model.described import described
from scrapeengine.model.figures import Figures

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
    """Counts of what a run has done so far; once it has ended, of all that it did.

    In the end `tasks == outcomes.total + returned + lost`.

    Size: 16 attributes, a record of one run.
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
    """Outcomes of earlier runs that sinks had not had, and that went to them in this one; not counted above."""
    closed: Mapping[str, float] = attrs.field(factory=dict)
    """Platforms that were closed for longer than their `Retry.patience`, each with the longest time, in seconds; hosts
    that the default serves count under the default's name."""
    overran: float = 0.0
    """Seconds for which a round was still running when the next was due; 0: it was not."""
    figures: Figures | None = None
    """Requests, bytes and times by platform; None: no `se.observe.Recording()` was among the run's instruments."""


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
    """What holds it back at this instant: a "pause" (a limit of 0), a "penalty" (it is closed), its "limit", the
    "share" that other engines leave, its "rate", its "parked" tasks, the "buffer" (the consumer, the sinks or the
    store), the "event limit", or "nothing"; where no work waits there, what of the first two would."""
    held_for: float = 0.0
    """Seconds for which that has been so. A pause counts from when it began, in this run; a penalty from when the
    platform closed; all else from when a task last started or went on there, while work waited."""


@described
@attrs.frozen(kw_only=True)
class Statistics:
    """The statistics of a run at this instant; once it is over, as of its end.

    They may be taken in any thread. Then each number was true at some instant in between, not all at the same.
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
