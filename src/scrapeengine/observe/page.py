"""The report as a page shows it: plain data, made of what a run has counted. Pure.

    Report ── page ──> dicts, lists, texts, numbers ──> write_html: one file
                                                    └─> or whoever serves them live

The page's script (`assets/page.js`) draws this and nothing else. Times are in seconds since the recording began.
Whatever a site has sent is in here as text, and nowhere as markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scrapeengine.model.figures import Figures
from scrapeengine.model.history import Bar, Pace, RunHistory
from scrapeengine.model.report import PlatformStatistics, Report, Statistics
from scrapeengine.model.tables import plain
from scrapeengine.model.urls import named

__all__ = ["HINT", "page"]

HINT = (
    "Timeline, requests, latencies and what held each platform back are not here, for nobody has recorded them: add "
    "instruments=[se.observe.Recording()] to the run."
)
_NO_TIMELINE = "The timeline is not here, for Recording(timeline=0) keeps none."
_PLATFORMS = 200
"""How many platforms are shown, those with the most outcomes first."""


def page(report: Report, statistics: Statistics | None = None, *, timeline: bool = True) -> dict[str, Any]:
    """Return what a page shows of a run.

    Args:
        report: as the run has it, at its end or now.
        statistics: the state of the run at this instant, for a page that is live; None: it is over.
        timeline: whether the timeline is in it, which is the largest part of it; if not, it is None, and a page that
            has one already keeps it.
    """
    figures = report.figures
    history = None if figures is None else figures.history
    names, more = _names(report, statistics)
    now = {} if statistics is None else statistics.platforms
    return {
        "version": 1,
        "live": statistics is not None,
        "started": report.started.isoformat(),
        "elapsed": report.elapsed,
        "stopped": report.stopped,
        "hint": HINT if figures is None else _NO_TIMELINE if history is None else None,
        "totals": {"events": report.events, "tasks": report.tasks, **_notes(report)},
        "outcomes": plain(report.outcomes) | {"duplicates": report.duplicates},
        "run": None if statistics is None else _run(statistics),
        "event_limit": None if figures is None else figures.event_limit,
        "platforms": [_platform(name, report, now.get(name)) for name in names],
        "more_platforms": more,
        "failures": _failures(report, history),
        "closings": None if history is None else _closings(history),
        "timeline": _timeline(history, names) if timeline and history is not None else None,
    }


def _names(report: Report, statistics: Statistics | None) -> tuple[list[str], int]:
    """List the platforms, and say how many more there are."""
    figures: Mapping[str, Any] = {} if report.figures is None else report.figures.platforms
    found = {*report.platforms, *figures, *(() if statistics is None else statistics.platforms)}
    totals = {name: report.platforms[name].total if name in report.platforms else 0 for name in found}
    names = sorted(found, key=lambda name: (-totals[name], name))
    return names[:_PLATFORMS], max(0, len(names) - _PLATFORMS)


def _notes(report: Report) -> dict[str, int]:
    return {name: getattr(report, name) for name in ("unread", "undelivered", "returned", "lost", "redelivered")}


def _run(statistics: Statistics) -> dict[str, int]:
    names = ("event_limit", "in_progress", "live", "running", "parked", "waiting", "buffered")
    return {name: getattr(statistics, name) for name in names}


def _platform(name: str, report: Report, now: PlatformStatistics | None) -> dict[str, Any]:
    figures = report.figures
    counts = report.platforms.get(name)
    return {
        "name": named(name),
        "key": None if now is None else name,
        "outcomes": None if counts is None else plain(counts) | {"total": counts.total},
        "closed": report.closed.get(name),
        "now": None if now is None else plain(now),
        **_figures(name, figures),
    }


def _figures(name: str, figures: Figures | None) -> dict[str, Any]:
    if figures is None or name not in figures.platforms:
        return {"figures": None, "held": None, "spread": None, "pace": None}
    history, held = figures.history, figures.held.get(name)
    spread = {} if history is None else history.spread.get(name, {})
    pace = None if history is None else history.paces.get(name)
    return {
        "figures": plain(figures.platforms[name]),
        "held": None if held is None else plain(held),
        "spread": {kind: [list(step) for step in steps] for kind, steps in spread.items()} if history else None,
        "pace": None if pace is None else _pace(pace),
    }


def _pace(pace: Pace) -> dict[str, Any]:
    return {"width": pace.width, "used": list(pace.used), "allowed": list(pace.allowed)}


def _failures(report: Report, history: RunHistory | None) -> list[dict[str, Any]]:
    """List failures by kind, the most frequent first, each with an example where one was recorded."""
    found = []
    for kind, count in sorted(report.errors.items(), key=lambda item: (-item[1], item[0])):
        example = None if history is None else history.examples.get(kind)
        told = None
        if history is not None and example is not None:
            told = {"time": _seconds(example.time - history.began), "platform": named(example.platform)}
            told |= {"id": example.id, "text": example.text}
        found.append({"kind": kind, "count": count, "example": told})
    return found


def _closings(history: RunHistory) -> dict[str, Any]:
    began = history.began
    shown = [
        {
            "platform": named(each.platform),
            "from": _seconds(each.began - began),
            "until": _seconds(each.until - began),
            "to": None if each.ended is None else _seconds(each.ended - began),
        }
        for each in history.closings
    ]
    return {"shown": shown, "left_out": history.closings_left_out}


def _timeline(history: RunHistory, names: list[str]) -> dict[str, Any]:
    """Return the bars by rows: one for each platform that is shown, and one for all others."""
    rows = [*names, history.default if history.default not in names else ""]
    places = {name: place for place, name in enumerate(rows)}
    other = places.get(history.default, len(rows) - 1)
    bars = [_bar(bar, places.get(bar.platform, other), history.began) for bar in history.bars]
    used = sorted({bar[0] for bar in bars})
    fewer = {place: number for number, place in enumerate(used)}
    return {
        "rows": [named(rows[place]) or "others" for place in used],
        "bars": [[fewer[bar[0]], *bar[1:]] for bar in bars],
        "left_out": dict(history.left_out),
    }


def _bar(bar: Bar, row: int, began: float) -> list[Any]:
    """Return a task as the script reads it.

    That is its row, platform, id, how it ended, by which error, when it was accepted, started and ended, how often its
    scraper ran, and when it was parked and when it connected, each as beginnings and ends by turns.
    """
    ended, started = bar.ended - began, bar.ended - bar.ran - began
    times = [_seconds(each) for each in (started - bar.queued, started, ended)]
    spans = [[_seconds(each - began) for each in some] for some in (bar.parked, bar.connecting)]
    return [row, named(bar.platform), _cut(bar.id), bar.kind, bar.error, *times, bar.attempts, *spans]


def _cut(id: str) -> str:
    """Return an id as it may be shown; first without its secrets, of which a part might be left."""
    shown = named(id)
    return shown if len(shown) <= 200 else shown[:200] + "…"


def _seconds(exact: float) -> float | None:
    """Return a time to the microsecond, which keeps the page small; None: it is not finite."""
    return round(exact, 6) if math.isfinite(exact) else None
