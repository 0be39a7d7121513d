"""What progress shows: from numbers to texts. Pure; what draws them is in `observe/progress.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from scrapeengine.decide.holding import Holdup
from scrapeengine.decide.remaining import Load, Remaining, remaining
from scrapeengine.model.report import Counts, PlatformStatistics, Statistics
from scrapeengine.model.tables import time
from scrapeengine.model.urls import named

__all__ = ["HEAD", "Gauged", "ProgressView", "plain_line", "view"]

HEAD = ("platform", "running", "requests/s", "done", "failed", "p50", "next in", "held by")
"""The words above the columns: of `p50` the seconds for which half of the tasks ran at most."""


@attrs.frozen(kw_only=True)
class Gauged:
    """What was measured of one platform."""

    pace: float = 0.0
    """Requests a second, of late."""
    median: float | None = None
    """Seconds for which half of the tasks held their slot at most; None: none has ended."""
    mean: float | None = None
    """Seconds for which a task held its slot in the mean; None: none has ended."""
    requests: float = 1.0
    """Requests of a task, in the mean."""
    interval: float = 0.0
    """Seconds between two requests; 0: it has no rate."""


@attrs.frozen(kw_only=True)
class ProgressView:
    """What is shown at one instant."""

    done: int
    """Tasks that have ended."""
    total: int | None
    """All tasks, as far as is known; None: nobody knows."""
    failed: int
    pace: float
    """Requests a second, on all platforms."""
    remaining: Remaining | None
    """What it will still take; None: nobody knows, or nothing is left."""
    rows: tuple[tuple[str, ...], ...]
    """The columns of each platform, as `HEAD` names them: of those with most to do, by name."""
    more: int
    """How many platforms are not shown."""
    slowest: tuple[str, ...]
    """The tasks that have been running for longest."""

    @property
    def words(self) -> str:
        """What is above the table, in words."""
        of = f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{of} tasks{failed}, {self.pace:.3g} requests a second"

    @property
    def left(self) -> str:
        """How long it still takes, and why, in words; empty: nobody knows."""
        left = self.remaining
        if left is None:
            return ""
        where = _legible(left.platform)
        if math.isinf(left.seconds):
            return f"no end while {where} is paused"
        words = {Holdup.LIMIT: f"the limit of {where}", Holdup.RATE: f"the rate of {where}"}
        words[Holdup.PENALTY] = f"{where}, which is closed"
        return f"about {time(round(left.seconds, 1))} left, by {words.get(left.by, 'the event limit')}"


def view(
    statistics: Statistics,
    gauged: Mapping[str, Gauged],
    pending: Mapping[str, int] | None,
    slowest: Sequence[tuple[str, str, float]],
    most: int,
    default: str = "",
) -> ProgressView:
    """Make what is shown.

    Args:
        statistics: the state of the run.
        gauged: what was measured, by platform.
        pending: what is not accepted yet, as `Run.pending` counts it.
        slowest: the tasks that have been running for longest, each with its platform, id, and for how long.
        most: how many platforms are shown.
        default: the name under which the hosts are measured and counted that the engine's default serves.
    """
    others = gauged.get(default, Gauged())
    counts = statistics.outcomes
    ended = sum(each.total for each in counts.values())
    live = statistics.waiting + statistics.parked + statistics.running
    per_event = (ended + live) / statistics.events if statistics.events else 1.0
    loads = _loads(statistics, gauged, pending, others)
    total = None if pending is None else ended + live + round(_coming(pending, per_event))
    names = sorted({*statistics.platforms, *counts}, key=lambda name: (-_busy(statistics, name), name))
    shown = sorted(names[:most])  # so that rows stay where they are, as far as they may
    return ProgressView(
        done=ended,
        total=total,
        failed=sum(each.failed for each in counts.values()),
        pace=sum(each.pace for each in gauged.values()),
        remaining=None if loads is None else remaining(loads, statistics.event_limit, per_event),
        rows=tuple(_row(name, statistics, gauged.get(name)) for name in shown),
        more=max(0, len(names) - most),
        slowest=tuple(f"{_legible(name)} {_legible(task)} {time(seconds)}" for name, task, seconds in slowest),
    )


def plain_line(view: ProgressView) -> str:
    """Return one line, for where there is no terminal."""
    slowest = f"slowest now: {view.slowest[0]}" if view.slowest else ""
    return "; ".join(filter(None, (view.words, view.left, slowest)))


def _legible(id: str) -> str:
    """Return an id as it is shown: ids come from sites, and a terminal would obey the escape sequences in them."""
    return "".join(each if each.isprintable() else "?" for each in named(id))


def _coming(pending: Mapping[str, int], per_event: float) -> float:
    """Return the tasks that are not accepted yet: of events as many as there were of others."""
    return sum(count * (1.0 if name else max(1.0, per_event)) for name, count in pending.items())


def _loads(
    statistics: Statistics, gauged: Mapping[str, Gauged], pending: Mapping[str, int] | None, others: Gauged
) -> list[Load] | None:
    """List the work of each platform; None: it cannot be told yet."""
    if pending is None:
        return None
    events, found = pending.get("", 0), []
    for name in {*statistics.platforms, *pending} - {""}:
        now, counts = statistics.platforms.get(name), statistics.outcomes.get(name, Counts())
        live = now.waiting + now.running + now.parked if now else 0
        share = (counts.total + live) / max(
            1, statistics.events
        )  # of an event's tasks, those that are of this platform
        left, measured = live + pending.get(name, 0) + events * share, gauged.get(name, others)
        if not left:
            continue
        if measured.mean is None or now is None:
            return None
        load = Load(
            name=name,
            left=left,
            limit=now.limit,
            seconds=measured.mean,
            interval=measured.interval,
            requests=measured.requests,
            opens_in=statistics.closed.get(name, 0.0),
        )
        found.append(load)
    return found if found or not events else None


def _busy(statistics: Statistics, name: str) -> int:
    now = statistics.platforms.get(name)
    return 0 if now is None else now.waiting + now.running + now.parked


def _row(name: str, statistics: Statistics, measured: Gauged | None) -> tuple[str, ...]:
    now: PlatformStatistics | None = statistics.platforms.get(name)
    counts = statistics.outcomes.get(name, Counts())
    alone = measured is not None  # else it is a host that is measured and counted with all others of the default
    measured = measured or Gauged()
    running, opens, held = ("", "", "") if now is None else (f"{now.running}/{now.limit}", _opens(now), now.held_by)
    return (
        _legible(name),
        running,
        f"{measured.pace:.3g}" if alone else "",
        f"{counts.total:,}" if alone else "",
        f"{counts.failed:,}" if alone else "",
        "" if measured.median is None else time(measured.median),
        opens,
        held,
    )


def _opens(now: PlatformStatistics) -> str:
    if not math.isfinite(now.opens_in):
        return ""
    return time(round(now.opens_in, 3)) if now.opens_in >= 0.001 else "0 s"
